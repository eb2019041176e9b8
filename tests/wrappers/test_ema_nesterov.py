"""`ema_nesterov`: how far ahead parameters are, and what is evaluated."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

PARAMS = {"w": jnp.asarray([1.0, -2.0, 3.0]), "b": jnp.asarray(0.5)}


def trained(tx, params=PARAMS, steps=6):
    """The parameters and the state after a few steps towards zero."""
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(params, state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state


def test_it_goes_ahead_by_a_multiple_of_the_mean_movement():
    p, y, b = 1.0, 1.0, 0.0
    for _ in range(6):
        new = y - 0.1 * y
        b = 0.5 * b + 0.5 * (new - p)
        p, y = new, new + 0.8 * b
    params, state = trained(gradtx.ema_nesterov(gradtx.sgd(0.1), 0.8, 0.5), {"p": jnp.asarray(1.0)})
    np.testing.assert_allclose(params["p"], y, rtol=1e-6)
    np.testing.assert_allclose(gradtx.eval_params(state, params)["p"], p, rtol=1e-6)


def test_without_a_lookahead_it_is_the_optimizer():
    params, state = trained(gradtx.ema_nesterov(gradtx.adam(0.1), 0.0))
    chex.assert_trees_all_close(params, trained(gradtx.adam(0.1))[0], rtol=1e-6)
    chex.assert_trees_all_equal(gradtx.eval_params(state, params), params)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: gradtx.chain(gradtx.clip_by_global_norm(1e3), tx),
        lambda tx: gradtx.masked(tx, {"w": True, "b": True}),
        lambda tx: gradtx.apply_if_finite(tx, 3),
        lambda tx: gradtx.inject_hyperparams(gradtx.ema_nesterov)(gradtx.sgd(0.1), lookahead=0.6, decay=0.8),
    ],
    ids=["chain", "masked", "apply_if_finite", "inject_hyperparams"],
)
def test_what_to_evaluate_is_found_at_any_depth(wrap):
    tx = gradtx.ema_nesterov(gradtx.sgd(0.1), 0.6, 0.8)
    params, state = trained(tx)
    expected = gradtx.eval_params(state, params)
    params, state = trained(wrap(tx))
    chex.assert_trees_all_close(gradtx.eval_params(state, params), expected, rtol=1e-5)
    assert not np.allclose(expected["w"], params["w"])


def test_what_a_mask_leaves_out_and_holes_are_evaluated_as_they_are():
    params, state = trained(gradtx.masked(gradtx.ema_nesterov(gradtx.sgd(0.1)), {"w": True, "b": False}), steps=2)
    chex.assert_trees_all_equal(gradtx.eval_params(state, params)["b"], params["b"])
    tree = {"w": PARAMS["w"], "hole": None}
    params, state = trained(gradtx.ema_nesterov(gradtx.sgd(0.1)), tree)
    assert gradtx.eval_params(state, params)["hole"] is None


def test_while_gradients_are_gathered_nothing_moves():
    tx = gradtx.ema_nesterov(gradtx.MultiSteps(gradtx.sgd(0.1), 2), 0.6, 0.8)
    state, params, moved = tx.init(PARAMS), PARAMS, []
    for _ in range(6):
        updates, state = jax.jit(tx.update)(params, state, params)
        moved.append(bool(updates["b"] != 0))
        params = gradtx.apply_updates(params, updates)
    assert moved == [False, True] * 3
    assert state.count == 3
    expected, _ = trained(gradtx.ema_nesterov(gradtx.sgd(0.1), 0.6, 0.8), steps=3)
    chex.assert_trees_all_close(params, expected, rtol=1e-6)


def test_of_bfloat16_the_mean_movement_is_a_float32_and_what_is_evaluated_a_bfloat16():
    params, state = trained(gradtx.ema_nesterov(gradtx.sgd(0.1)), jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS))
    assert {x.dtype for x in jax.tree.leaves(state.movement)} == {jnp.dtype(jnp.float32)}
    assert {x.dtype for x in jax.tree.leaves(gradtx.eval_params(state, params))} == {jnp.dtype(jnp.bfloat16)}


def test_a_lookahead_of_one_is_refused():
    with pytest.raises(ValueError, match="ema_nesterov: lookahead must be at least 0 and below 1, got 1"):
        gradtx.ema_nesterov(gradtx.sgd(0.1), 1.0)
