"""What is asked of a state by name or by parameter, on the states of the whole zoo and of wrappers in wrappers."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest
import zoo
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from tables import table

import gradtx
from gradtx import testing, tree

PARAMS = testing.sample_params()
NAMES = {name: name for name in PARAMS}
LABELS = {"scalar": "a", "vector": "b", "matrix": "b", "empty": "a"}


NESTED: dict[str, Any] = {
    "partition of chains": gradtx.partition(
        {
            "matrices": gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(zoo.halving, mask=zoo.matrices)),
            "others": gradtx.named_chain(("momentum", gradtx.trace(0.9)), ("rate", gradtx.scale(-0.1))),
        },
        zoo.by_rank,
    ),
    "partition in a mask": gradtx.masked(
        gradtx.partition({"a": gradtx.adam(0.1), "b": gradtx.sgd(0.1, momentum=0.9)}, LABELS),
        {name: name != "vector" for name in NAMES},
    ),
    "injected in accumulation": gradtx.MultiSteps(gradtx.inject_hyperparams(gradtx.adamw)(zoo.halving), 2),
    "accumulation in a partition": gradtx.partition(
        {"matrices": gradtx.MultiSteps(gradtx.adam(0.1), 2), "others": gradtx.set_to_zero()}, zoo.by_rank
    ),
    "conditions in a chain": gradtx.chain(
        gradtx.conditionally_mask(gradtx.apply_if_finite(gradtx.lion(0.1), 3), lambda step: step % 2 == 0),
        gradtx.flatten(gradtx.trace(0.9)),
    ),
    "injected in lookahead": gradtx.lookahead(gradtx.inject_hyperparams(gradtx.adam)(0.1), 2, 0.5),
    "averages of an optimizer without momentum": gradtx.schedule_free(
        gradtx.split_real_and_imaginary(gradtx.rmsprop(0.1)), 0.1
    ),
}
SAMPLES = [*zoo.existing(zoo.TRANSFORMATIONS), *NESTED]


def sample(label):
    return NESTED[label] if label in NESTED else zoo.transformation(label)


def optimizers():
    """Labels of what takes a learning rate, and keeps none in its state as it is."""
    recipes = {label: zoo.transformation(label).recipe for label in zoo.existing(zoo.TRANSFORMATIONS)}
    return [label for label, recipe in recipes.items() if "learning_rate" in recipe.arguments and "inject" not in label]


def names_of_params(path):
    return [step.key for step in path if getattr(step, "key", None) in NAMES]


@table("label", SAMPLES)
def test_identity_changes_nothing(label):
    state = jax.eval_shape(sample(label).init, PARAMS)
    assert tree.map_params(sample(label), lambda leaf: leaf, state) == state
    assert tree.map_params(sample(label), lambda leaf, p, name: leaf, state, PARAMS, NAMES) == state


@table("label", SAMPLES)
def test_a_leaf_belongs_to_the_parameter_that_its_path_names_and_all_others_to_none(label):
    state = jax.eval_shape(sample(label).init, PARAMS)
    owners = tree.map_params(sample(label), lambda leaf, name: name, state, NAMES, transform_non_params=lambda leaf: "none")
    for path, owner in jax.tree_util.tree_leaves_with_path(owners):
        assert names_of_params(path) == ([] if owner == "none" else [owner]), jax.tree_util.keystr(path)


@table("label", SAMPLES)
def test_a_state_is_laid_out_as_the_parameters(label):
    mesh = jax.make_mesh((2,), ("devices",), devices=jax.devices()[:2])
    whole, split = NamedSharding(mesh, P()), NamedSharding(mesh, P("devices"))
    shardings = {"scalar": whole, "vector": split, "matrix": split, "empty": whole}

    def layout(leaf, p, sharding):
        return sharding if leaf.shape == p.shape else whole

    state = sample(label).init(PARAMS)
    layouts = tree.map_params(sample(label), layout, state, PARAMS, shardings, transform_non_params=lambda leaf: whole)
    placed = jax.device_put(state, layouts)
    assert [leaf.sharding for leaf in jax.tree.leaves(placed)] == jax.tree.leaves(layouts)


@pytest.mark.parametrize("label", optimizers())
def test_every_hyperparameter_can_be_read_and_set(label):
    recipe = zoo.transformation(label).recipe
    state = gradtx.inject_hyperparams(recipe.factory)(**{**recipe.arguments, "learning_rate": zoo.halving}).init(PARAMS)
    assert "learning_rate" in state.hyperparams
    for name, value in state.hyperparams.items():
        assert tree.get(state, name) is value
    new = tree.set(state, **dict.fromkeys(state.hyperparams, 0.5))
    chex.assert_trees_all_equal(new, state._replace(hyperparams={name: jnp.float32(0.5) for name in state.hyperparams}))


def test_a_hyperparameter_is_found_and_set_through_wrappers():
    tx, params = NESTED["injected in accumulation"], {"w": jnp.ones(3)}
    state = tree.set(tx.init(params), learning_rate=0.0)
    _, state = tx.update(params, state, params)
    updates, state = tx.update(params, state, params)
    chex.assert_trees_all_equal(updates, {"w": jnp.zeros(3)})
    assert tree.get(state, "learning_rate") == zoo.halving(jnp.asarray(0))
