"""SOAP and SPlus against their authors' trajectories."""

import golden_runs
import pytest

import gradtx

RATE = 2.0**-6
RUNS = {
    "soap": gradtx.soap(RATE, 0.92, 0.97, weight_decay=0.05, every=3),
    "soap.every1": gradtx.soap(RATE, 0.92, 0.97, weight_decay=0.05, every=1),
    "soap.own_statistics_decay": gradtx.soap(RATE, 0.92, 0.97, 1e-5, 0.05, statistics_decay=0.85, every=4),
    "soap.max_dim3": gradtx.soap(RATE, 0.92, 0.97, weight_decay=0.05, every=3, max_size=3),
    "splus": gradtx.splus(RATE, 0.9, 0.05, statistics_decay=0.97, every=5, other_factor=0.5),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("entry", RUNS)
def test_it_moves_as_the_authors_code_does(entry):
    golden_runs.assert_moves_as(entry, RUNS[entry])
