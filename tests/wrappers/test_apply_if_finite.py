"""`apply_if_finite`: bad gradients are left out, up to a limit."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradtx.core import EmptyState, GradientTransformation, GradientTransformationExtraArgs, chain
from gradtx.optimizers.adam import scale_by_adam
from gradtx.transforms.scale import scale
from gradtx.wrappers.apply_if_finite import ApplyIfFiniteState, apply_if_finite

foreign: Any = optax  # another library's classes are not ours to the type checker
PARAMS = {"w": jnp.ones((2, 3)), "b": jnp.ones(())}
VALUES = [1.0, np.nan, 2.0, np.inf, -np.inf, np.nan, np.nan, 3.0, np.nan, 4.0]


def gradients(value, like=PARAMS):
    return {**jax.tree.map(jnp.ones_like, like), "w": jnp.full_like(like["w"], value).at[1:].set(0.5)}


def trajectory(tx, values=VALUES, params=PARAMS):
    state, out = tx.init(params), []
    for value in values:
        updates, state = tx.update(gradients(value, params), state, params)
        out.append((updates, state))
    return out


@pytest.mark.parametrize("limit", [0, 2, 10])
def test_it_equals_optax_also_where_it_gives_up(x64, limit):
    params = jax.tree.map(lambda p: p.astype(jnp.float64), PARAMS)
    ours = trajectory(apply_if_finite(scale_by_adam(), limit), params=params)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = trajectory(foreign.apply_if_finite(foreign.scale_by_adam(), limit), params=params)
    for (updates, state), (expected, expected_state) in zip(ours, theirs, strict=True):
        chex.assert_trees_all_close(updates, expected, rtol=1e-12)
        chex.assert_trees_all_close(jax.tree.leaves(state), jax.tree.leaves(expected_state), rtol=1e-12)
        assert state._fields == expected_state._fields


def test_a_bad_step_changes_nothing_but_the_counts():
    tx = apply_if_finite(scale_by_adam(), 5)
    _, good = tx.update(gradients(1.0), tx.init(PARAMS), PARAMS)
    updates, state = tx.update(gradients(np.nan), good, PARAMS)
    chex.assert_trees_all_equal(updates, jax.tree.map(jnp.zeros_like, PARAMS))
    chex.assert_trees_all_equal(state.inner_state, good.inner_state)
    assert isinstance(state, ApplyIfFiniteState)
    assert (state.notfinite_count, state.last_finite, state.total_notfinite) == (1, False, 1)


def test_after_too_many_bad_steps_in_a_row_nan_goes_through():
    updates = [updates["w"][0, 0] for updates, _ in trajectory(apply_if_finite(scale(1.0), 2), [np.nan] * 4)]
    assert [bool(jnp.isnan(u)) for u in updates] == [False, False, True, True]


def test_the_inner_transformation_does_not_run_in_a_step_left_out():
    runs = []

    def update(updates, state, params=None):
        jax.debug.callback(lambda: runs.append(1))
        return updates, state

    tx = apply_if_finite(GradientTransformation(lambda params: EmptyState(), update), 10)
    trajectory(tx, [1.0, np.nan, 1.0, np.nan])
    jax.effects_barrier()
    assert len(runs) == 2


def test_unjitted_calls_trace_once():
    traces = []

    def update(updates, state, params=None):
        traces.append(1)
        return updates, state

    trajectory(chain(apply_if_finite(GradientTransformation(lambda params: EmptyState(), update), 1)))
    assert len(traces) == 1


def test_a_transformation_that_changes_its_dtypes_is_held_to_them():
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        tx = apply_if_finite(foreign.adam(1e-2), 3)
        state = tx.init(params)
        updates, new_state = tx.update(gradients(1.0), state, params)
    chex.assert_trees_all_equal_dtypes(new_state, state)
    chex.assert_trees_all_equal_dtypes(updates, PARAMS)


def test_functions_reach_the_inner_transformation():
    def update(updates, state, params=None, *, value_fn):
        return jax.tree.map(lambda g: g * value_fn(g), updates), state

    tx = apply_if_finite(GradientTransformationExtraArgs(lambda params: (), update), 3)
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS, value_fn=lambda g: 3 * g)
    chex.assert_trees_all_equal(updates, jax.tree.map(lambda g: 3 * g, PARAMS))
    with pytest.raises(TypeError, match="did you mean 'value_fn'"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS, value_fun=lambda g: g)


def test_integer_gradients_are_finite():
    tx = apply_if_finite(scale_by_adam(), 1)
    tree = {"w": None}
    _, state = tx.update(tree, tx.init(tree))
    assert state.last_finite
    plain = apply_if_finite(GradientTransformation(lambda params: (), lambda updates, state, params=None: (updates, state)), 1)
    updates, _ = plain.update(jnp.arange(3), plain.init(None))
    chex.assert_trees_all_equal(updates, jnp.arange(3))


def test_each_member_of_a_population_skips_for_itself():
    tx = apply_if_finite(scale_by_adam(), 5)
    stacked = jax.tree.map(lambda p: jnp.stack([p, p]), PARAMS)
    bad = {**stacked, "b": jnp.array([1.0, np.nan])}
    updates, state = jax.vmap(tx.update)(bad, jax.vmap(tx.init)(stacked), stacked)
    chex.assert_trees_all_equal(state.notfinite_count, jnp.array([0, 1]))
    chex.assert_tree_all_finite(updates)


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="apply_if_finite: max_consecutive_errors must be at least 0, got -1"):
        apply_if_finite(scale(1.0), -1)
