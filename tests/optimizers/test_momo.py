"""Momo stops where the model of the loss does, and reads a scalar."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

BOTH = pytest.mark.parametrize("name", ["momo", "momo_adam"])
PARAMS = {"w": jnp.asarray([3.0, -4.0]), "b": jnp.ones(())}


def stepped(tx, params, gradients, value):
    updates, state = tx.update(gradients, tx.init(params), params, value=value)
    return gradtx.apply_updates(params, updates), state


def test_the_first_step_goes_to_where_the_linear_model_reaches_its_bound():
    params, _ = stepped(gradtx.momo(1e6, lower_bound=2.0), PARAMS["w"], jnp.asarray([1.0, 0.0]), 5.0)
    chex.assert_trees_all_close(params, jnp.asarray([0.0, -4.0]))


@BOTH
def test_at_the_lower_bound_it_stays(name):
    params, _ = stepped(getattr(gradtx, name)(1.0, lower_bound=5.0), PARAMS, PARAMS, 5.0)
    chex.assert_trees_all_equal(params, PARAMS)


@BOTH
def test_without_a_gradient_it_stays(name):
    params, state = stepped(getattr(gradtx, name)(1.0), PARAMS, jax.tree.map(jnp.zeros_like, PARAMS), 5.0)
    chex.assert_trees_all_equal(params, PARAMS)
    chex.assert_tree_all_finite(state)


@BOTH
@pytest.mark.parametrize("learning_rate", [0.3, 100.0])
def test_a_learning_rate_that_is_too_large_does_no_harm(name, learning_rate):
    tx = getattr(gradtx, name)(learning_rate)

    def step(carry, _):
        params, state = carry
        value, gradients = jax.value_and_grad(lambda p: gradtx.tree.norm(p, squared=True) / 2)(params)
        updates, state = tx.update(gradients, state, params, value=value)
        return (gradtx.apply_updates(params, updates), state), value

    values = jax.lax.scan(step, (PARAMS, tx.init(PARAMS)), length=200)[1]
    assert values[-1] < 1e-3 * values[0]


@BOTH
def test_what_has_no_gradient_neither_moves_nor_counts(name):
    tx = getattr(gradtx, name)(100.0, weight_decay=0.1)
    part, whole = {"w": PARAMS["w"]}, {"w": PARAMS["w"], "b": 1e6 * PARAMS["b"]}
    updates, state = tx.update({"w": PARAMS["w"], "b": None}, tx.init(whole), whole, value=1.0)
    expected, expected_state = tx.update(part, tx.init(part), part, value=1.0)
    assert updates["b"] is None
    chex.assert_trees_all_close((updates["w"], state.gamma), (expected["w"], expected_state.gamma), rtol=1e-6)


@BOTH
def test_the_model_of_bfloat16_params_is_not_rounded(name):
    tx = getattr(gradtx, name)()
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    _, state = tx.update(params, tx.init(params), params, value=jnp.asarray(26.1))
    weight = 1.0 if name == "momo" else 0.1
    np.testing.assert_allclose(state.barf, weight * 26.1, rtol=1e-6)
    np.testing.assert_allclose(state.gamma, weight * 26.0, rtol=1e-6)


@BOTH
def test_a_value_that_is_no_scalar_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name}: value must be a scalar, got an array of shape \(2,\)"):
        stepped(getattr(gradtx, name)(), PARAMS, PARAMS, jnp.ones(2))


@BOTH
def test_a_missing_value_is_asked_for(name):
    tx = getattr(gradtx, name)()
    with pytest.raises(TypeError, match=f"{name} reads 'value'"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS)
