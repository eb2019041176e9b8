"""`amplify_slow_gradients`: Grokfast's sum of a gradient and its mean."""

import chex
import jax.numpy as jnp
import pytest
from golden_runs import assert_moves_as

import gradtx


@pytest.mark.usefixtures("x64")
def test_before_adam_it_moves_as_its_authors_code():
    assert_moves_as("grokfast_ema_adam", gradtx.chain(gradtx.amplify_slow_gradients(0.95, 1.5), gradtx.adam(2**-6, 0.9, 0.97)))


def test_a_constant_gradient_is_amplified_from_the_first_step_on():
    g = {"w": jnp.asarray([1.0, -2.0]), "hole": None}
    tx = gradtx.amplify_slow_gradients(factor=3.0)
    state = tx.init(g)
    for _ in range(3):
        updates, state = tx.update(g, state)
        chex.assert_trees_all_close(updates, {"w": jnp.asarray([4.0, -8.0]), "hole": None}, rtol=1e-6)


def test_of_bfloat16_the_mean_is_a_float32():
    g = jnp.ones(2, jnp.bfloat16)
    updates, state = gradtx.amplify_slow_gradients().update(g, gradtx.amplify_slow_gradients().init(g))
    assert (updates.dtype, state.mu.dtype) == (jnp.bfloat16, jnp.float32)


def test_a_negative_factor_is_refused():
    with pytest.raises(ValueError, match="amplify_slow_gradients: factor must be at least 0, got -1"):
        gradtx.amplify_slow_gradients(factor=-1)
