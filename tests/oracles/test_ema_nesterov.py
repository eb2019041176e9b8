"""EMA-Nesterov looks ahead and moves as the class of its author does."""

import jax.numpy as jnp
import numpy as np
import pytest
from golden_runs import arrays, leaves_of, trajectory

import gradtx

RATE = 2**-6


def decaying(count):
    return RATE * (1 - jnp.asarray(count, float) / 64)


def in_the_middle(count):
    """The author's prefill of 3 steps, and his rest from step 14."""
    return jnp.where((count >= 3) & (count < 14), 0.6, 0.0)


def with_the_rate(count):
    return in_the_middle(count) * decaying(count) / RATE


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("entry", "rate", "lookahead"),
    [("ema_nesterov_adam", RATE, in_the_middle), ("ema_nesterov_adam.scheduled", decaying, with_the_rate)],
)
def test_it_moves_as_its_authors_code(entry, rate, lookahead):
    leaves = leaves_of(entry)
    moved, states = trajectory(gradtx.ema_nesterov(gradtx.adam(rate, 0.9, 0.97), lookahead, decay=0.8), leaves)
    for step, state in enumerate(states):
        evaluated = gradtx.eval_params(state, {leaf: jnp.asarray(moved[leaf][step + 1]) for leaf in leaves})
        for leaf in leaves:
            np.testing.assert_allclose(moved[leaf][step], arrays()[f"{entry}.y/{leaf}"][step], rtol=0, atol=1e-12)
            np.testing.assert_allclose(evaluated[leaf], arrays()[f"{entry}/{leaf}"][step + 1], rtol=0, atol=1e-12)
