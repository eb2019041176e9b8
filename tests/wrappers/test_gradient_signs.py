"""`scale_by_gradient_signs`: sizes of one, signs of the other."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trajectories

import gradtx

LAST = gradtx.scale_by_optimistic_gradient(1.0, -1.0)  # u is the gradient of the step before


def directions(tx, before, now):
    """The updates of the second of two steps."""
    _, state = tx.update(before, tx.init(before), before)
    return tx.update(now, state, before)[0]


def test_sizes_are_of_the_direction_and_signs_of_the_gradient():
    u = directions(gradtx.scale_by_gradient_signs(LAST), jnp.asarray([1.0, 2.0, -3.0]), jnp.asarray([-5.0, 5.0, 0.0]))
    np.testing.assert_array_equal(u, [-1.0, 2.0, 0.0])


@pytest.mark.usefixtures("x64")
def test_around_adam_it_is_the_rule_of_the_paper():
    params = trajectories.params()
    tx = gradtx.scale_by_gradient_signs(gradtx.scale_by_adam(0.9, 0.97))
    state, m, v = tx.init(params), 0.0, 0.0
    for t in range(1, 20):
        gradients = trajectories.gradients(params, t)
        updates, state = tx.update(gradients, state, params)
        g = np.concatenate([np.ravel(x) for x in jax.tree.leaves(gradients)])
        m, v = 0.9 * m + 0.1 * g, 0.97 * v + 0.03 * g**2
        expected = np.sign(g) * np.abs(m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.97**t)) + 1e-8)
        found = np.concatenate([np.ravel(x) for x in jax.tree.leaves(updates)])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_holes_and_what_is_masked_have_the_gradient(dtype):
    tx = gradtx.scale_by_gradient_signs(gradtx.masked(LAST, {"a": True, "b": False, "hole": False}))
    before, now = ({"a": jnp.full(2, x, dtype), "b": jnp.full(2, x, dtype), "hole": None} for x in (1.0, -2.0))
    expected = {"a": -jnp.ones(2, dtype), "b": jnp.full(2, -2.0, dtype), "hole": None}
    chex.assert_trees_all_equal(directions(tx, before, now), expected)


def test_steps_that_a_learning_rate_has_turned_round_are_refused():
    with pytest.raises(ValueError, match="scale_by_gradient_signs: it compares a direction with the gradient"):
        gradtx.scale_by_gradient_signs(gradtx.adam(0.1)).init(jnp.ones(2))
