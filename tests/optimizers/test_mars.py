"""`correct_by_last_gradient`: what is corrected, by how much, and in which dtype."""

import chex
import jax.numpy as jnp
import pytest

import gradtx

TX = gradtx.correct_by_last_gradient(0.1, 0.75)  # 0.3 of the change


def corrected(*gradients):
    """The updates of each step."""
    state, found = TX.init(gradients[0]), []
    for g in gradients:
        updates, state = TX.update(g, state)
        found.append(updates)
    return found


def test_a_multiple_of_the_change_is_added():
    updates = corrected(jnp.asarray([1.0, 2.0]), jnp.asarray([2.0, 2.0]), jnp.zeros(2))
    expected = [jnp.asarray([1.3, 2.6]), jnp.asarray([2.3, 2.0]), jnp.asarray([-0.6, -0.6])]
    chex.assert_trees_all_close(updates, expected, rtol=1e-6)


def test_holes_stay_and_so_does_what_a_mask_leaves_out():
    tx = gradtx.masked(TX, {"a": True, "b": False, "hole": False})
    g = {"a": jnp.ones(2), "b": jnp.ones(2), "hole": None}
    expected = {"a": jnp.full(2, 1.3), "b": jnp.ones(2), "hole": None}
    chex.assert_trees_all_close(tx.update(g, tx.init(g), g)[0], expected, rtol=1e-6)


def test_of_bfloat16_the_last_gradient_is_a_float32():
    g = jnp.full(2, 1.5, jnp.bfloat16)
    updates, state = TX.update(g, TX.init(g))
    assert (updates.dtype, state.last_gradient.dtype) == (jnp.bfloat16, jnp.float32)


def test_a_negative_gamma_is_refused():
    with pytest.raises(ValueError, match="mars_lion: gamma must be at least 0, got -1"):
        gradtx.mars_lion(0.1, gamma=-1)
