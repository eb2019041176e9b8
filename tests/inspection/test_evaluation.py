"""`eval_params` finds what a model is evaluated at, in the state of any optimizer."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
import small_runs
import zoo
from flax import nnx
from tables import table

import gradtx
from gradtx import testing
from gradtx.inspection import evaluation
from gradtx.tree.search import walk

foreign: Any = optax  # another library's classes are not ours to the type checker
PARAMS = {"w": jnp.asarray([1.0, -2.0, 3.0]), "b": jnp.asarray([0.5, 1.0])}
OTHERS = [
    label
    for label in zoo.existing(zoo.TRANSFORMATIONS)
    if not any(word in label for word in ("averaged", "ema_nesterov", "lookahead", "schedule_free"))
]


def averaged(rate=0.5):
    return gradtx.averaged(gradtx.sgd(0.1), rate)


def trained(tx, params=PARAMS, steps=4):
    return small_runs.trained(tx, params, steps)


def named(tx):
    return gradtx.named_chain(("clip", gradtx.clip(10.0)), ("descent", tx))


WRAPPERS = {
    "alone": lambda tx: tx,
    "chain": lambda tx: gradtx.chain(gradtx.clip(10.0), tx),
    "named_chain": named,
    "masked": lambda tx: gradtx.masked(tx, {"w": True, "b": True}),
    "MultiSteps": lambda tx: gradtx.MultiSteps(tx, 1),
    "apply_if_finite": lambda tx: gradtx.apply_if_finite(tx, 3),
    "adjustable": gradtx.adjustable,
    "grouped": lambda tx: gradtx.grouped(tx, [gradtx.Group("w"), gradtx.Group("b")]),
}


@table("label", OTHERS)
def test_where_there_is_no_average_it_is_the_parameters_themselves(label):
    params = testing.sample_params()
    evaluated = gradtx.eval_params(zoo.transformation(label).init(params), params)
    assert all(one is other for one, other in zip(jax.tree.leaves(evaluated), jax.tree.leaves(params), strict=True))


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_the_average_is_found_at_any_depth(wrap):
    _, state = trained(averaged())
    params, wrapped = trained(wrap(averaged()))
    chex.assert_trees_all_close(gradtx.eval_params(wrapped, params), state.average, rtol=1e-6)


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_x_of_schedule_free_is_found_at_any_depth(wrap):
    params, state = trained(wrap(gradtx.schedule_free_sgd(0.1)))
    expected_params, expected = trained(gradtx.schedule_free_sgd(0.1))
    x = gradtx.schedule_free_eval_params(expected, expected_params)
    chex.assert_trees_all_close(gradtx.eval_params(state, params), x, rtol=1e-6)


def test_it_is_x_of_schedule_free_of_optax():
    params, state = trained(foreign.contrib.schedule_free_sgd(0.1))
    x = foreign.contrib.schedule_free_eval_params(state, params)
    chex.assert_trees_all_close(gradtx.eval_params(state, params), x, rtol=1e-6)


def test_each_group_has_an_average_of_its_own():
    groups = gradtx.partition(
        {"average": averaged(), "free": gradtx.schedule_free_sgd(0.1), "plain": gradtx.sgd(0.1)},
        {"w": "average", "b": "free", "c": "plain"},
    )
    params, state = trained(groups, {**PARAMS, "c": jnp.ones(2)})
    evaluated = gradtx.eval_params(state, params)
    inner = {label: state.inner_states[label].inner_state for label in ("average", "free")}
    chex.assert_trees_all_equal(evaluated["w"], inner["average"].average["w"])
    chex.assert_trees_all_equal(evaluated["b"], gradtx.schedule_free_eval_params(inner["free"], params)["b"])
    assert evaluated["c"] is params["c"]


def test_what_a_mask_leaves_out_is_as_it_is():
    params, state = trained(gradtx.masked(averaged(), {"w": True, "b": False}))
    evaluated = gradtx.eval_params(state, params)
    chex.assert_trees_all_equal(evaluated["w"], state.inner_state.average["w"])
    assert evaluated["b"] is params["b"]


def test_a_mask_above_the_leaves_leaves_out_all_below():
    params = {"body": PARAMS, "head": PARAMS}
    params, state = trained(gradtx.masked(averaged(), {"body": True, "head": False}), params)
    evaluated = gradtx.eval_params(state, params)
    chex.assert_trees_all_equal(evaluated, {"body": state.inner_state.average["body"], "head": params["head"]})


def test_of_one_average_inside_of_another_the_outer_counts():
    params, state = trained(gradtx.averaged(gradtx.schedule_free_sgd(0.1), 0.5))
    chex.assert_trees_all_equal(gradtx.eval_params(state, params), state.average)
    params, state = trained(gradtx.averaged(averaged(0.2), 0.5))
    chex.assert_trees_all_equal(gradtx.eval_params(state, params), state.average)


@pytest.mark.parametrize(
    "wrap",
    [lambda tx: tx, lambda tx: gradtx.chain(tx, gradtx.identity())],
    ids=["alone", "in a chain"],
)
@pytest.mark.parametrize("library", [gradtx, optax], ids=["gradtx", "Optax"])
def test_of_lookahead_it_is_the_slow_parameters(library, wrap):
    tx = wrap(gradtx.lookahead(gradtx.sgd(0.1), 3, 0.5))
    params = library.LookaheadParams.init_synced(PARAMS)
    updates, state = tx.update(PARAMS, tx.init(params), params)
    params = gradtx.apply_updates(params, type(params)(*updates))
    chex.assert_trees_all_equal(gradtx.eval_params(state, params), params.slow)


def test_the_average_of_both_sets_of_lookahead_has_a_slow_one():
    tx = gradtx.averaged(gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5), 0.5)
    params, state = trained_pair(tx)
    chex.assert_trees_all_equal(gradtx.eval_params(state, params), state.average.slow)
    params, state = trained_pair(gradtx.lookahead(averaged(), 2, 0.5))
    chex.assert_trees_all_equal(gradtx.eval_params(state, params), params.slow)


def trained_pair(tx):
    params = gradtx.LookaheadParams.init_synced(PARAMS)
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(params.fast, state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state


def test_it_has_the_dtype_of_the_parameters_and_holes_stay():
    params = {"w": PARAMS["w"].astype(jnp.bfloat16), "hole": None}
    params, state = trained(averaged(), params)
    evaluated = gradtx.eval_params(state, params)
    chex.assert_trees_all_equal(evaluated, {"w": state.average["w"].astype(jnp.bfloat16), "hole": None})


def test_under_jit_and_vmap_it_is_the_same():
    params, state = trained(gradtx.chain(averaged(), gradtx.identity()))
    expected = gradtx.eval_params(state, params)
    chex.assert_trees_all_equal(jax.jit(gradtx.eval_params)(state, params), expected)
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), (state, params))
    chex.assert_trees_all_equal(jax.tree.map(lambda leaf: leaf[1], jax.vmap(gradtx.eval_params)(*two)), expected)


def test_names_with_slashes_in_them_are_told_apart():
    params = {"a/b": jnp.zeros(2), "a": {"b": jnp.ones(2)}}
    params, state = trained(averaged(), params)
    chex.assert_trees_all_equal(gradtx.eval_params(state, params), state.average)


def squared(model):
    return jnp.sum(model(jnp.ones((1, 2))) ** 2)


@pytest.mark.parametrize("make", [averaged, lambda: gradtx.schedule_free_sgd(0.1)], ids=["averaged", "schedule_free"])
def test_it_is_found_in_an_optimizer_of_nnx_in_the_variables_of_the_model(make):
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, make(), wrt=nnx.Param)
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    state = make().init(params)
    for _ in range(3):
        gradients = nnx.grad(squared)(model)
        updates, state = make().update(nnx.to_pure_dict(gradients), state, params)
        params = gradtx.apply_updates(params, updates)
        optimizer.update(model, gradients)
    evaluated = gradtx.eval_params(optimizer.opt_state, nnx.state(model, nnx.Param))
    assert isinstance(evaluated["kernel"], nnx.Param)
    chex.assert_trees_all_close(nnx.to_pure_dict(evaluated), gradtx.eval_params(state, params), rtol=1e-6)
    nnx.update(model, evaluated)
    chex.assert_trees_all_close(model.kernel[...], evaluated["kernel"][...])


def test_after_a_transfer_it_is_still_there():
    tx = gradtx.exponentially_averaged(gradtx.adam(0.1))
    params, state = trained(tx)
    other = gradtx.chain(gradtx.clip(1.0), gradtx.exponentially_averaged(gradtx.adamw(0.1)))
    new_state, _ = gradtx.transfer_state(state, other, params, strict=True)
    chex.assert_trees_all_equal(gradtx.eval_params(new_state, params), gradtx.eval_params(state, params))


def test_arguments_in_another_order_are_refused():
    params, state = trained(averaged())
    with pytest.raises(TypeError, match=r"Call eval_params\(state, params\)"):
        gradtx.eval_params(params, state)


def test_one_set_is_not_enough_for_lookahead():
    with pytest.raises(TypeError, match="lookahead has two sets of parameters, LookaheadParams: pass both"):
        gradtx.eval_params(gradtx.lookahead(gradtx.sgd(0.1), 3, 0.5).init(PARAMS), PARAMS)


def test_the_average_of_other_parameters_is_refused_by_path():
    _, state = trained(averaged())
    with pytest.raises(ValueError, match=r"eval_params: .*\['w'\] has shape \(3,\), but params\['w'\] has shape \(4,\)"):
        gradtx.eval_params(state, {**PARAMS, "w": jnp.ones(4)})
    with pytest.raises(ValueError, match="eval_params: the state has 'b', the parameters have not"):
        gradtx.eval_params(state, {"w": PARAMS["w"]})


def test_of_many_groups_only_what_they_have_is_looked_at(monkeypatch):
    visited = []

    def counting(*args, **kwargs):
        for steps, node in walk(*args, **kwargs):
            visited.append(node)
            yield steps, node

    monkeypatch.setattr(evaluation, "walk", counting)
    params = {f"layer {k}": jnp.ones(2) for k in range(20)}
    tx = gradtx.grouped(gradtx.adam(0.1), [gradtx.Group(f"layer {k}", name=str(k)) for k in range(20)])
    assert gradtx.eval_params(tx.init(params), params) is params
    assert 0 < len(visited) < 20 * 20  # twice as many are the holes


def test_a_blend_lies_between_the_last_parameters_and_the_average_of_the_end():
    tx = gradtx.exponentially_averaged(gradtx.sgd(0.1), 0.5, begin=2)
    params, state = trained(tx)
    average = gradtx.eval_params(state, params)
    blend = gradtx.blend_params(params, average, 0.6)
    chex.assert_trees_all_close(blend, jax.tree.map(lambda p, e: 0.4 * p + 0.6 * e, params, average), rtol=1e-6)
    chex.assert_trees_all_equal(gradtx.blend_params(params, average, 0.0), params)
    chex.assert_trees_all_close(jax.jit(gradtx.blend_params)(params, average, 0.6), blend, rtol=1e-6)


def test_what_is_left_out_of_a_blend_stays_and_dtypes_do():
    params = {"w": jnp.ones(3, jnp.bfloat16), "embedding": jnp.ones(2)}
    zeros = {"w": jnp.zeros(3), "embedding": jnp.zeros(2)}
    blend = gradtx.blend_params(params, zeros, 0.75, gradtx.not_matching("embedding"))
    chex.assert_trees_all_equal(blend, {"w": jnp.full(3, 0.25, jnp.bfloat16), "embedding": jnp.ones(2)})


def test_what_cannot_be_blended_is_named():
    with pytest.raises(ValueError, match=r"blend_params: weight must be at least 0 and at most 1, got 1\.5"):
        gradtx.blend_params(PARAMS, PARAMS, 1.5)
    with pytest.raises(ValueError, match=r"blend_params: params\['b'\] has no counterpart"):
        gradtx.blend_params(PARAMS, {"w": PARAMS["w"]}, 0.5)
