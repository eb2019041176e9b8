"""`schedule_free`: the average is found in any state, and nothing is lost in low precision."""

from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

import gradtx
from gradtx import tree

foreign: Any = optax  # another library's classes are not ours to the type checker
PARAMS = {"w": jnp.asarray([1.0, -2.0, 3.0]), "b": jnp.asarray(0.5)}
schedule_free = partial(gradtx.schedule_free_sgd, 0.1)


def trained(tx, params=PARAMS, steps=5):
    """The parameters and the state after a few steps towards zero."""
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(params, state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state


def evaluated(tx):
    params, state = trained(tx)
    return gradtx.schedule_free_eval_params(state, params)


def named(tx):
    return gradtx.named_chain(("clip", gradtx.clip_by_global_norm(1e3)), ("descent", tx))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: gradtx.chain(gradtx.clip_by_global_norm(1e3), tx),
        named,
        lambda tx: gradtx.masked(tx, {"w": True, "b": True}),
        lambda tx: gradtx.apply_if_finite(tx, 3),
        lambda tx: gradtx.MultiSteps(tx, 1),
        lambda tx: gradtx.inject_hyperparams(gradtx.schedule_free_sgd)(0.1),
        lambda tx: gradtx.chain(gradtx.chain(gradtx.MultiSteps(gradtx.chain(tx), 1))),
    ],
    ids=["chain", "named_chain", "masked", "apply_if_finite", "MultiSteps", "inject_hyperparams", "nested"],
)
def test_the_average_is_found_in_a_state_of_any_depth(wrap):
    chex.assert_trees_all_close(evaluated(wrap(schedule_free())), evaluated(schedule_free()), rtol=1e-6)


def test_the_average_is_found_in_the_state_of_optax():
    params, state = trained(schedule_free())
    theirs = foreign.contrib.schedule_free_sgd(0.1)
    their_params, their_state = trained(theirs)
    chex.assert_trees_all_close(
        gradtx.schedule_free_eval_params(state, params), gradtx.schedule_free_eval_params(their_state, their_params), rtol=1e-6
    )


def test_what_a_mask_leaves_out_is_evaluated_as_it_is():
    mask = {"w": True, "b": False}
    tx = gradtx.masked(schedule_free(), mask)
    params, state = trained(tx)
    average = gradtx.schedule_free_eval_params(state, params)
    chex.assert_trees_all_equal(average["b"], params["b"])
    chex.assert_trees_all_close(average["w"], evaluated(schedule_free())["w"], rtol=1e-6)


def test_a_state_without_an_average_is_refused():
    params, state = trained(gradtx.adam(0.1))
    with pytest.raises(ValueError, match="needs a state with one ScheduleFreeState in it, got none"):
        gradtx.schedule_free_eval_params(state, params)


def test_a_state_with_two_averages_is_refused_by_path():
    params, state = trained(gradtx.chain(schedule_free(), gradtx.identity(), schedule_free()))
    with pytest.raises(ValueError, match=r"in it, got 2: \[0\], \[2\]; pass one of them"):
        gradtx.schedule_free_eval_params(state, params)
    gradtx.schedule_free_eval_params(state[2], params)


def test_the_parameters_lie_between_the_iterate_and_the_average():
    params, state = trained(schedule_free(b1=0.7))
    average = gradtx.schedule_free_eval_params(state, params)
    between = jax.tree.map(lambda x, z: 0.7 * x + 0.3 * z, average, state.z)
    chex.assert_trees_all_close(params, between, rtol=1e-6)


@pytest.mark.parametrize("state_dtype", [None, jnp.bfloat16])
def test_at_a_constant_rate_the_average_is_the_mean_of_the_iterates_as_they_are_kept(state_dtype):
    tx, params = schedule_free(state_dtype=state_dtype), PARAMS
    state, iterates = tx.init(params), []
    for _ in range(4):
        updates, state = tx.update(params, state, params)
        params = gradtx.apply_updates(params, updates)
        iterates.append(tree.cast(state.z, jnp.float32))
    mean = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *iterates)
    chex.assert_trees_all_close(gradtx.schedule_free_eval_params(state, params), mean, rtol=1e-5)


def test_steps_at_a_rate_of_zero_neither_move_nor_weigh():
    rate = gradtx.warmup_constant_schedule(0.0, 0.1, 3)
    tx = gradtx.schedule_free(gradtx.sgd(rate), rate)
    params, state = trained(tx, steps=1)
    chex.assert_trees_all_equal(params, PARAMS)
    assert state.weight_sum == 0
    params, state = trained(tx, steps=2)
    chex.assert_trees_all_close(gradtx.schedule_free_eval_params(state, params), state.z, rtol=1e-6)


def test_the_iterate_and_b1_of_bfloat16_params_are_not_rounded():
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    state = schedule_free().init(params)
    chex.assert_trees_all_equal_dtypes(state.z, PARAMS)
    assert state.b1 == jnp.float32(0.9)
    average = gradtx.schedule_free_eval_params(state, params)
    chex.assert_trees_all_equal(average, params)


def test_the_iterate_is_kept_in_the_dtype_asked_for():
    state = schedule_free(state_dtype=jnp.bfloat16).init(PARAMS)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.z)} == {jnp.dtype(jnp.bfloat16)}
    with pytest.raises(TypeError, match="schedule_free_sgd: a moment needs a floating-point dtype, got int32"):
        schedule_free(state_dtype=jnp.int32)


@pytest.mark.parametrize("b1", [0.0, 1.0])
def test_without_room_between_the_iterate_and_the_average_it_is_refused(b1):
    with pytest.raises(ValueError, match="schedule_free: b1 must be above 0 and below 1"):
        gradtx.schedule_free(gradtx.sgd(0.1), 0.1, b1=b1)


def test_the_rate_may_be_injected_in_any_precision(x64):
    tx = gradtx.inject_hyperparams(gradtx.schedule_free_adamw, hyperparam_dtype=jnp.float32)(0.1, warmup_steps=3)
    params, state = trained(tx, jax.tree.map(lambda p: p.astype(jnp.float64), PARAMS))
    chex.assert_tree_all_finite((params, state))
