"""A part of a state begins again."""

import re

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx
from gradtx.testing.samples import gradients_like

PARAMS = {"body": {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}, "head": {"w": jnp.ones(3)}}
TX = gradtx.polyak_averaged(gradtx.adamw(gradtx.linear_schedule(0.1, 0.0, 10)))


def trained(tx=TX, params=PARAMS):
    state = tx.init(params)
    for step in range(3):
        updates, state = tx.update(gradients_like(params, step), state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state


@pytest.mark.parametrize(
    ("where", "begun"),
    [
        ("head/**", ["head/w"]),
        (re.compile(".*/w"), ["body/w", "head/w"]),
        (("**/b", "head/w"), ["body/b", "head/w"]),
        (lambda path, leaf: leaf.ndim == 2, ["body/w"]),
    ],
    ids=["glob", "expression", "several", "function"],
)
def test_the_parameters_that_match_begin_again_and_all_else_goes_on(where, begun):
    params, state = trained()
    fresh = TX.init(params)
    actual = gradtx.reset_state(state, TX, params, where)

    def expected(moved, initial):
        def pick(path, old, new):
            return new if jax.tree_util.keystr(path, simple=True, separator="/") in begun else old

        return jax.tree_util.tree_map_with_path(pick, moved, initial)

    adam, fresh_adam = (gradtx.tree.get(each, "ScaleByAdamState") for each in (state, fresh))
    moments = gradtx.tree.get(actual, "ScaleByAdamState")
    chex.assert_trees_all_equal(moments.mu, expected(adam.mu, fresh_adam.mu))
    chex.assert_trees_all_equal(moments.nu, expected(adam.nu, fresh_adam.nu))
    chex.assert_trees_all_equal(actual.average, expected(state.average, params))
    assert actual.count == moments.count == 3


def test_the_next_steps_of_adam_are_longer_by_no_more_than_is_said():
    tx = gradtx.adam(1.0)
    params = {"a": jnp.zeros(()), "b": jnp.zeros(())}
    gradients = {"a": jnp.ones(()), "b": jnp.ones(())}
    step = jax.jit(tx.update)
    state = tx.init(params)
    for _ in range(5000):
        _, state = step(gradients, state)
    state = gradtx.reset_state(state, tx, params, "a")
    lengths = []
    for _ in range(50):
        updates, state = step(gradients, state)
        lengths.append((-updates["a"], -updates["b"]))
    chex.assert_trees_all_close(jnp.max(jnp.asarray(lengths), axis=0), jnp.asarray([6.6, 1.0]), rtol=1e-2)


def test_without_a_pattern_all_begins_again():
    params, state = trained()
    chex.assert_trees_all_equal(gradtx.reset_state(state, TX, params), TX.init(params))


def test_all_arrays_of_a_parameter_begin_again():
    tx = gradtx.sm3(0.1)
    params, state = trained(tx)
    actual = gradtx.reset_state(state, tx, params, "body/w")
    chex.assert_trees_all_equal(actual[0].mu["body"]["w"], tx.init(params)[0].mu["body"]["w"])
    chex.assert_trees_all_equal(actual[0].mu["head"], state[0].mu["head"])


def test_what_a_mask_leaves_out_stays_left_out():
    tx = gradtx.masked(gradtx.adam(0.1), {"body": True, "head": False})
    params, state = trained(tx)
    actual = gradtx.reset_state(state, tx, params, "**/w")
    chex.assert_trees_all_equal_structs(actual, state)
    chex.assert_trees_all_equal(actual.inner_state[0].mu["body"]["w"], jnp.zeros((2, 3)))
    chex.assert_trees_all_equal(gradtx.reset_state(state, tx, params, "head/w"), state)


def test_lookahead_is_reset_by_the_names_of_either_set():
    tx = gradtx.lookahead(gradtx.trace(0.9), 3, 0.5)
    params = gradtx.LookaheadParams.init_synced(PARAMS)
    _, state = tx.update(PARAMS, tx.init(params), params)
    actual = gradtx.reset_state(state, tx, params, "head/**")
    chex.assert_trees_all_equal(actual.fast_state.trace, {"body": PARAMS["body"], "head": {"w": jnp.zeros(3)}})


def test_under_jit_it_is_the_same():
    params, state = trained()
    reset = jax.jit(lambda state, params: gradtx.reset_state(state, TX, params, "head/**"))
    chex.assert_trees_all_equal(reset(state, params), gradtx.reset_state(state, TX, params, "head/**"))


def test_a_state_of_something_else_is_refused():
    params, state = trained(gradtx.adam(0.1))
    with pytest.raises(ValueError, match=r"reset_state: the state is not one that tx.init makes .* transfer_state\(state, tx"):
        gradtx.reset_state(state, TX, params, "head/**")
    with pytest.raises(ValueError, match=r"reset_state: the state is not one that tx\.init makes for these parameters"):
        gradtx.reset_state(state, gradtx.adam(0.1), jax.tree.map(lambda p: p[:1], params), "head/**")


def test_a_pattern_that_matches_nothing_is_refused():
    params, state = trained()
    with pytest.raises(ValueError, match=r"reset_state: 'haed/\*\*' matches nothing; did you mean 'head/\*\*'"):
        gradtx.reset_state(state, TX, params, "haed/**")


def test_arguments_in_another_order_are_refused():
    params, state = trained()
    with pytest.raises(TypeError, match=r"Call reset_state\(state, tx, params\)"):
        gradtx.reset_state(TX, state, params)  # pyright: ignore[reportArgumentType]
