"""ADOPT moves as in the code of its authors, with both of its weight decays."""

import pytest
from golden_runs import assert_moves_as

import gradtx


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("entry", "settings"),
    [
        ("adopt", {}),
        ("adopt.unclipped", {"use_clipping": False}),
        ("adopt.decoupled_decay", {"weight_decay": 0.1}),
        ("adopt.coupled_decay", {"weight_decay": 0.1, "decoupled": False}),
    ],
    ids=["plain", "unclipped", "decoupled", "coupled"],
)
def test_it_moves_as_its_authors_code(entry, settings):
    assert_moves_as(entry, gradtx.adopt(2**-6, 0.9, 0.97, **settings))
