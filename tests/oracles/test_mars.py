"""MARS moves as in the code of its authors, of all arrays and of matrices alone."""

import pytest
from golden_runs import assert_moves_as

import gradtx

RATE = 2**-6
ADAMW = gradtx.mars_adamw(RATE, 0.9, 0.97, gamma=0.05, weight_decay=0.1)
REST = gradtx.adamw(2**-7, 0.85, 0.95, weight_decay=0.05)
LABELS = {"s": "matrices", "w": "matrices", "k": "others", "b": "others"}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("entry", "tx"),
    [
        ("mars_adamw", ADAMW),
        ("mars_adamw.matrices_only", gradtx.partition({"matrices": ADAMW, "others": REST}, LABELS)),
        ("mars_lion", gradtx.mars_lion(RATE, 0.9, gamma=0.05, weight_decay=0.1)),
    ],
    ids=["mars_adamw", "mars_adamw.matrices_only", "mars_lion"],
)
def test_it_moves_as_its_authors_code(entry, tx):
    assert_moves_as(entry, tx)
