"""Search in states, against Optax where the names are those of fields and keys."""

import dataclasses
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

import gradtx
from gradtx import tree
from gradtx.tree.search import walk

foreign: Any = optax  # another library's classes are not ours to the type checker

PARAMS = {"w": jnp.ones((3, 4)), "b": jnp.ones(4)}
SCHEDULE = optax.constant_schedule(0.1)

OPTIMIZERS = {
    "adam": optax.adam(SCHEDULE),
    "chain of gradtx": gradtx.chain(gradtx.scale_by_adam(), foreign.trace(0.9)),
    "inject_hyperparams": optax.inject_hyperparams(optax.adam)(SCHEDULE),
    "masked": optax.masked(optax.adam(0.1), {"w": True, "b": False}),
    "partition": optax.partition({"x": optax.adam(0.1), "y": optax.sgd(0.1, 0.9)}, {"w": "x", "b": "y"}),
    "named_chain": optax.named_chain(("first", optax.adam(0.1)), ("second", optax.trace(0.9))),
}


class Inner(NamedTuple):
    x: Any


def printed(found):
    return [(jax.tree_util.keystr(path), value) for path, value in found]


@pytest.mark.parametrize("key", ["count", "mu", "w", "b", "learning_rate", "trace", "first", "ScaleByAdamState", "absent"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_finds_what_optax_finds_by_the_same_paths(optimizer, key):
    state = optimizer.init(PARAMS)
    ours, theirs = tree.get_all_with_path(state, key), optax.tree.get_all_with_path(state, key)
    chex.assert_trees_all_equal(dict(printed(ours)), dict(printed(theirs)))
    if len(ours) < 2:
        chex.assert_trees_all_equal(tree.get(state, key, "nothing"), optax.tree.get(state, key, "nothing"))


@pytest.mark.parametrize("key", ["count", "mu", "ScaleByAdamState"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_all_values_of_a_name_are_replaced_and_nothing_else(optimizer, key):
    # Optax's set goes no deeper than a NamedTuple with the name: of inject_hyperparams it sets the first count of three.
    state = optimizer.init(PARAMS)
    found = tree.get_all_with_path(state, key)
    assert found
    new = tree.set(state, **{key: "new"})
    if key != "ScaleByAdamState":
        assert tree.get_all_with_path(new, key) == [(path, "new") for path, _ in found]
    values = iter([value for _, value in found])
    back = jax.tree.map(
        lambda leaf: next(values) if isinstance(leaf, str) else leaf, new, is_leaf=lambda leaf: isinstance(leaf, str)
    )
    chex.assert_trees_all_equal(back, state)


def test_filtering_sees_the_named_tuple_in_the_path_and_the_value():
    state = OPTIMIZERS["adam"].init(PARAMS)

    def of_adam(path, value):
        assert value.dtype == jnp.int32
        return path[-1].tuple_name == "ScaleByAdamState" and path[-1].name == "count"

    assert tree.get(state, "count", filtering=of_adam) == 0
    state = tree.set(state, of_adam, count=5)
    assert [int(count) for _, count in tree.get_all_with_path(state, "count")] == [5, 0]


def test_one_of_several_fields_of_a_name_can_be_named_in_full():
    state = tree.set(OPTIMIZERS["adam"].init(PARAMS), **{"ScaleByAdamState.count": 5})
    assert tree.get(state, "ScaleByAdamState.count") == 5
    assert tree.get(state, "ScaleByScheduleState.count") == 0
    assert tree.get(state, "ScaleByLionState.count", default="none") == "none"


@pytest.mark.parametrize("library", [gradtx, foreign], ids=["gradtx", "Optax"])
def test_the_name_of_a_hyperparameter_does_not_mean_its_schedule(library):
    state = library.inject_hyperparams(library.adam)(SCHEDULE).init(PARAMS)
    assert tree.get(state, "learning_rate") is state.hyperparams["learning_rate"]
    new = tree.set(state, learning_rate=0.5)
    assert new.hyperparams["learning_rate"] == 0.5
    assert new.hyperparams_states == state.hyperparams_states


def test_the_name_of_a_hyperparameter_does_not_mean_a_moment_or_a_parameter_that_is_called_so():
    params = {"b1": jnp.ones(2), "eps": jnp.ones(3)}
    state = gradtx.inject_hyperparams(gradtx.schedule_free)(gradtx.sgd(0.1), 0.1, b1=0.75).init(params)
    assert tree.get(state, "b1") == 0.75
    assert tree.get(state, "ScheduleFreeState.b1") == jnp.float32(0.75)
    chex.assert_trees_all_equal(tree.get(state, "eps"), params["eps"])


def test_hyperparameters_of_one_name_are_listed():
    adam = gradtx.inject_hyperparams(gradtx.adam)(SCHEDULE)
    state = gradtx.chain(adam, adam).init(PARAMS)
    with pytest.raises(KeyError, match="get: 2 values are named 'learning_rate'"):
        tree.get(state, "learning_rate")
    assert (
        tree.get(state, "learning_rate", filtering=lambda path, value: path[0].idx == 1)
        is state[1].hyperparams["learning_rate"]
    )
    new = tree.set(state, learning_rate=0.5)
    assert [float(each.hyperparams["learning_rate"]) for each in new] == [0.5, 0.5]


def test_a_number_that_replaces_a_scalar_takes_its_type():
    state = gradtx.inject_hyperparams(gradtx.adam)(SCHEDULE).init(PARAMS)
    chex.assert_trees_all_equal_shapes_and_dtypes(tree.set(state, learning_rate=1, count=3), state)
    assert tree.set({"x": 1.0, "y": jnp.ones(2)}, x=2, y=3) == {"x": 2, "y": 3}


def test_names_inside_of_a_match_are_found_and_the_outer_one_is_replaced():
    nested = (Inner(1), Inner(Inner(2)))
    assert printed(tree.get_all_with_path(nested, "x")) == [
        ("[0]Inner.x", 1),
        ("[1]Inner.x", Inner(2)),
        ("[1]Inner.xInner.x", 2),
    ]
    assert tree.set(nested, x=5) == (Inner(5), Inner(5))
    assert tree.set(nested, Inner=5) == (5, 5)
    assert tree.get_all_with_path(Inner(1), "Inner") == [((), Inner(1))]


def test_fields_of_dataclasses_and_keys_that_are_no_words_are_names_too():
    @functools.partial(jax.tree_util.register_dataclass, data_fields=["w"], meta_fields=[])
    @dataclasses.dataclass
    class Layer:
        w: Any

    assert tree.get([Layer({"z": 3})], "w") == {"z": 3}
    assert tree.set([Layer({"z": 3})], w=4) == [Layer(4)]
    assert tree.get({1: "one", 2: [3]}, 1) == "one"


def test_none_is_a_value_as_any_other():
    assert tree.get({"a": None}, "a", default=5) is None
    assert tree.set({"a": None, "b": 1}, a=2) == {"a": 2, "b": 1}
    assert tree.get({"a": 1}, None, default=5) == 5


def test_several_values_of_one_name_are_listed():
    with pytest.raises(KeyError) as error:
        tree.get(gradtx.chain(OPTIMIZERS["adam"]).init(PARAMS), "count")
    assert error.value.args[0] == (
        "get: 2 values are named 'count': [0][0]ScaleByAdamState.count, [0][1]ScaleByScheduleState.count. "
        "Name one in full, such as 'ScaleByAdamState.count', or choose with filtering=lambda path, value: ..., or call "
        "get_all_with_path."
    )
    with pytest.raises(KeyError, match=r"'count': \[0\]ScaleByAdamState.count, \[1\]ScaleByAdamState.count. Choose one with"):
        tree.get((gradtx.scale_by_adam().init(PARAMS),) * 2, "count")


def test_a_name_that_nothing_has_cannot_be_set():
    state = gradtx.scale_by_adam().init(PARAMS)
    with pytest.raises(KeyError) as error:
        tree.set(state, conut=3)
    assert error.value.args[0] == "set: nothing is named 'conut'; there are count, mu, b, w, nu."
    with pytest.raises(KeyError) as error:
        tree.set(state, lambda path, value: False, mu=3)
    assert error.value.args[0] == "set: filtering leaves none of the 1 values that are named 'mu': ScaleByAdamState.mu."
    with pytest.raises(KeyError, match="there are no names"):
        tree.set((), count=3)


def test_holes_are_walked_only_where_they_are_asked_for():
    params = {f"layer {k}": jnp.ones(2) for k in range(20)}
    groups = [gradtx.Group(f"layer {k}", name=f"group {k}") for k in range(20)]
    state = gradtx.grouped(gradtx.adam(0.1), groups).init(params)
    visited = [node for _, node in walk(state)]
    assert not any(map(tree.is_hole, visited))
    assert sum(isinstance(node, jax.Array) for node in visited) == len(jax.tree.leaves(state))
    assert sum(tree.is_hole(node) for _, node in walk(state, holes=True)) == 2 * 20 * 19
