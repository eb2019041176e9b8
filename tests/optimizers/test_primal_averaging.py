"""`primal_averaged`: what is evaluated, in any wrapper and dtype."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

PARAMS = {"w": jnp.asarray([1.0, -2.0, 3.0]), "b": jnp.asarray(0.5)}
TX = gradtx.primal_averaged(gradtx.sgd(0.1), 0.7, 0.9, shrinkage=0.01)


def trained(tx, params=PARAMS, steps=6):
    """The parameters and the state after a few steps towards zero."""
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(params, state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state


def test_gradients_are_taken_between_an_iterate_and_its_average():
    z = x = y = 1.0
    for _ in range(6):
        z = z - 0.1 * y
        x = 0.9 * x + 0.1 * z
        y = 0.3 * z + 0.7 * x
    params, state = trained(gradtx.primal_averaged(gradtx.sgd(0.1), 0.7, 0.9), {"p": jnp.asarray(1.0)})
    np.testing.assert_allclose(params["p"], y, rtol=1e-6)
    np.testing.assert_allclose(state.z["p"], z, rtol=1e-6)
    np.testing.assert_allclose(gradtx.eval_params(state, params)["p"], x, rtol=1e-5)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: gradtx.chain(gradtx.clip_by_global_norm(1e3), tx),
        lambda tx: gradtx.masked(tx, {"w": True, "b": True}),
        lambda tx: gradtx.inject_hyperparams(gradtx.primal_averaged)(gradtx.sgd(0.1), 0.7, 0.9, shrinkage=0.01),
    ],
    ids=["chain", "masked", "inject_hyperparams"],
)
def test_what_to_evaluate_is_found_at_any_depth(wrap):
    params, state = trained(TX)
    expected = gradtx.eval_params(state, params)
    assert not np.allclose(expected["w"], params["w"])
    params, state = trained(wrap(TX))
    chex.assert_trees_all_close(gradtx.eval_params(state, params), expected, rtol=1e-5)


def test_what_a_mask_leaves_out_and_holes_are_evaluated_as_they_are():
    params, state = trained(gradtx.masked(TX, {"w": True, "b": False}), steps=2)
    chex.assert_trees_all_equal(gradtx.eval_params(state, params)["b"], params["b"])
    params, state = trained(TX, {"w": PARAMS["w"], "hole": None})
    assert gradtx.eval_params(state, params)["hole"] is None


def test_while_gradients_are_gathered_nothing_moves():
    tx = gradtx.primal_averaged(gradtx.MultiSteps(gradtx.sgd(0.1), 2), 0.7, 0.9, shrinkage=0.01)
    state = tx.init(PARAMS)
    updates, gathered = jax.jit(tx.update)(PARAMS, state, PARAMS)
    chex.assert_trees_all_equal(updates, jax.tree.map(jnp.zeros_like, PARAMS))
    chex.assert_trees_all_equal((gathered.count, gathered.z), (state.count, state.z))


def test_of_bfloat16_the_iterate_is_a_float32():
    params, state = trained(TX, jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS))
    assert {x.dtype for x in jax.tree.leaves(state.z)} == {jnp.dtype(jnp.float32)}
    assert {x.dtype for x in jax.tree.leaves(gradtx.eval_params(state, params))} == {jnp.dtype(jnp.bfloat16)}


def test_an_average_that_gradients_are_not_near_to_is_refused():
    with pytest.raises(ValueError, match="primal_averaged: b1 must be above 0 and at most 1, got 0"):
        gradtx.primal_averaged(gradtx.sgd(0.1), 0.0)
