"""Cautious optimizers and cautious weight decay move as in the code of their authors."""

import pytest
from golden_runs import assert_moves_as

import gradtx

RATE = 2**-6


def decayed(direction, **arguments):
    return gradtx.chain(direction, gradtx.add_decayed_weights(0.1, **arguments), gradtx.scale_by_learning_rate(RATE))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("entry", "tx"),
    [
        ("cautious_adamw", decayed(gradtx.cautious(gradtx.scale_by_adam(0.9, 0.97, eps=1e-6, debias_eps=True)))),
        ("cautious_lion", decayed(gradtx.cautious(gradtx.scale_by_lion(0.9, 0.97), count_one_more=True))),
        ("cautious_decay_adamw", decayed(gradtx.scale_by_adam(0.9, 0.97), cautious=True)),
        ("cautious_decay_lion", decayed(gradtx.scale_by_lion(0.9, 0.97), cautious=True)),
    ],
)
def test_it_moves_as_its_authors_code(entry, tx):
    assert_moves_as(entry, tx)
