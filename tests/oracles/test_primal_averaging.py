"""Generalized primal averaging moves and is evaluated as in the code of its authors."""

import jax.numpy as jnp
import numpy as np
import pytest
from golden_runs import STEPS, arrays, assert_moves_as, leaves_of, trajectory

import gradtx

RATE = 2**-6
SHRINKAGE = RATE * 0.1


def warming_up(count):
    return RATE * jnp.minimum(1, (jnp.asarray(count, float) + 1) / 4)


def shrinking(count):
    return 0.1 * warming_up(count)


def schedule_free(count):
    """One minus the weight of a step, the square of its rate, in the sum of all until then."""
    squares = warming_up(jnp.arange(STEPS)) ** 2
    return 1 - squares[count] / jnp.cumsum(squares)[count]


def averaged(rate, b1, decay, shrinkage):
    return gradtx.primal_averaged(gradtx.adam(rate, 0.9, 0.97), b1, decay, shrinkage=shrinkage)


def decayed(tx, weight_decay):
    return gradtx.chain(tx, gradtx.scale(-1.0), gradtx.add_decayed_weights(weight_decay), gradtx.scale(-1.0))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("entry", "tx"),
    [
        ("gpa", averaged(RATE, 0.7, 0.95, SHRINKAGE)),
        ("gpa.no_decay", averaged(RATE, 0.6, 0.9, 0.0)),
        ("gpa.scheduled", averaged(warming_up, 0.7, 0.95, shrinking)),
        ("gpa.schedule_free", averaged(warming_up, 0.7, schedule_free, shrinking)),
        ("gpa.decay_on_y", decayed(averaged(RATE, 0.7, 0.95, 0.0), 0.95 * SHRINKAGE)),
    ],
)
def test_it_moves_and_is_evaluated_as_its_authors_code(entry, tx):
    assert_moves_as(entry, tx)
    leaves = leaves_of(entry)
    moved, states = trajectory(tx, leaves)
    for step, state in enumerate(states):
        evaluated = gradtx.eval_params(state, {leaf: jnp.asarray(moved[leaf][step + 1]) for leaf in leaves})
        for leaf in leaves:
            np.testing.assert_allclose(evaluated[leaf], arrays()[f"{entry}.x/{leaf}"][step + 1], rtol=0, atol=1e-12)
