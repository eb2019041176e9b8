"""Paths of leaves as text, in trees of any library."""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from flax.core import FrozenDict
from hypothesis import given
from trees import properties, trees

from gradtx.tree import MaskedNode, is_hole
from gradtx.tree.paths import in_containers_of, leaves_with_paths, map_with_paths, path_of, places, with_leaves


class Layer(NamedTuple):
    """A NamedTuple of parameters."""

    kernel: Any
    bias: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Model:
    """A dataclass of parameters."""

    layers: Any
    head: Any


@jax.tree_util.register_pytree_node_class
class Opaque:
    """A node that tells nothing of its children."""

    def __init__(self, *children):
        self.children = children

    def tree_flatten(self):
        return self.children, None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)


class Block(nnx.Module):
    """A module with a list of layers."""

    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs)])
        self.head = nnx.Linear(2, 1, use_bias=False, rngs=rngs)


def paths(tree):
    return [path for path, _ in leaves_with_paths(tree)]


ONE = jnp.ones(2)
NNX = ["head/kernel", "layers/0/bias", "layers/0/kernel"]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"layers": [{"bias": ONE, "kernel": ONE}], "head": ONE}, ["head", "layers/0/bias", "layers/0/kernel"]),
        (FrozenDict({"dense": {"bias": ONE}}), ["dense/bias"]),
        ({0: ONE, 1: (ONE, ONE)}, ["0", "1/0", "1/1"]),
        (Layer(ONE, {"a": ONE}), ["kernel", "bias/a"]),
        (Model([Layer(ONE, ONE)], ONE), ["layers/0/kernel", "layers/0/bias", "head"]),
        (Opaque(ONE, Opaque(ONE)), ["0", "1/0"]),
        ({"a/b": ONE}, ["a/b"]),
        (ONE, [""]),
        ({}, []),
    ],
)
def test_a_path_is_made_of_keys_attributes_and_indices(tree, expected):
    assert paths(tree) == expected


def test_the_paths_of_an_equinox_module_are_its_attributes():
    model = eqx.filter(eqx.nn.MLP(3, 1, 4, 1, key=jax.random.key(0)), eqx.is_inexact_array)
    assert paths(model) == ["layers/0/weight", "layers/0/bias", "layers/1/weight", "layers/1/bias"]


@pytest.mark.parametrize(
    "tree_of", [lambda m: m, lambda m: nnx.state(m, nnx.Param), lambda m: nnx.to_pure_dict(nnx.state(m, nnx.Param))]
)
def test_a_variable_of_nnx_adds_nothing_to_a_path(tree_of):
    assert paths(tree_of(Block(nnx.Rngs(0)))) == NNX


def test_a_variable_alone_has_an_empty_path_and_one_of_a_tree_the_paths_of_that():
    assert paths(nnx.Param(ONE)) == [""]
    assert paths({"a": nnx.Param({"b": ONE})}) == ["a/b"]


def test_a_box_of_linen_adds_nothing_to_a_path():
    assert paths({"kernel": nn.Partitioned(ONE, names=("rows",))}) == ["kernel"]


def test_an_attribute_that_happens_to_be_called_value_stays():
    assert paths({"value": Layer(ONE, {"value": ONE})}) == ["value/kernel", "value/bias/value"]


def test_holes_have_paths_too():
    tree = {"a": None, "b": [MaskedNode(), ONE], "c": nnx.Param(MaskedNode())}
    assert [path for path, _ in places(tree)] == ["a", "b/0", "b/1", "c"]
    assert paths(tree) == ["b/1"]


def test_a_path_of_jax_is_joined_by_slashes():
    [(keys, _)] = jax.tree_util.tree_leaves_with_path({"a": [ONE]})
    assert path_of(keys) == "a/0"
    assert path_of(()) == ""


def test_functions_are_mapped_with_paths_over_variables():
    state = nnx.state(Block(nnx.Rngs(0)), nnx.Param)
    assert jax.tree.leaves(map_with_paths(lambda path, leaf: path, state)) == NNX


@properties
@given(trees())
def test_places_are_in_the_order_of_the_leaves(tree):
    leaves, _ = jax.tree.flatten(tree, is_leaf=is_hole)
    assert [id(leaf) for _, leaf in places(tree)] == [id(leaf) for leaf in leaves]
    same = with_leaves(tree, leaves)
    assert jax.tree.structure(same) == jax.tree.structure(tree)
    assert [id(leaf) for leaf in jax.tree.leaves(same)] == [id(leaf) for leaf in jax.tree.leaves(tree)]


def test_a_part_of_a_state_comes_in_the_containers_of_the_parameters():
    params = {"a": nnx.Param(ONE), "b": {"c": ONE, "d": None}}
    part = {"a": jnp.zeros(2), "b": MaskedNode()}
    moved = in_containers_of(params, part)
    assert jax.tree.structure(moved) == jax.tree.structure({"a": nnx.Param(ONE), "b": {"c": MaskedNode(), "d": None}})
    assert moved["a"][...] is part["a"]


def test_a_part_of_a_state_of_other_parameters_is_refused_by_path():
    with pytest.raises(ValueError, match=r"^the state has 'b/c', the parameters have not"):
        in_containers_of({"a": ONE, "b": ONE}, {"a": ONE, "b": {"c": ONE}})
