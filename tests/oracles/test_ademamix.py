"""AdEMAMix moves as in the code of its authors, with the warm-ups that they publish."""

import pytest
from golden_runs import assert_moves_as

import gradtx


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("entry", "decay_warmup", "weight_warmup"),
    [("ademamix", 1, 1), ("ademamix.warmups", 12, 12), ("ademamix.two_warmups", 15, 8)],
    ids=["none", "equal", "two"],
)
def test_it_moves_as_its_authors_code(entry, decay_warmup, weight_warmup):
    b3 = gradtx.ademamix_decay_schedule(0.9, 0.995, decay_warmup)
    alpha = gradtx.ademamix_weight_schedule(3.0, weight_warmup)
    assert_moves_as(entry, gradtx.ademamix(2**-6, 0.9, 0.97, b3, alpha, weight_decay=0.1))
