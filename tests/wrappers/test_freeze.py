"""Frozen parameters do not move, whatever says which they are."""

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx

PARAMS = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}


def matrices(params):
    return jax.tree.map(lambda p: p.ndim == 2, params)


@pytest.mark.parametrize("mask", [matrices, {"w": True, "b": False}])
def test_a_mask_may_be_a_tree_or_a_function(mask):
    # Optax freezes everything if the mask of selective_transform is a function.
    for tx in (
        gradtx.chain(gradtx.sgd(1.0), gradtx.freeze(mask)),
        gradtx.selective_transform(gradtx.sgd(1.0), freeze_mask=mask),
    ):
        updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
        chex.assert_trees_all_equal(updates, {"w": jnp.zeros((2, 2)), "b": -jnp.ones(2)})


def test_what_is_frozen_by_selective_transform_has_no_moments():
    state = gradtx.selective_transform(gradtx.adam(0.1), freeze_mask=matrices).init(PARAMS)
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [(), (2,), (2,)]


def test_a_mask_of_numbers_is_refused():
    with pytest.raises(TypeError, match=r"selective_transform: freeze_mask\['b'\] must be True or False, got 0"):
        gradtx.selective_transform(gradtx.sgd(1.0), freeze_mask={"w": 1, "b": 0})


def test_a_mask_that_does_not_match_is_refused():
    with pytest.raises(ValueError, match=r"selective_transform: freeze_mask has nothing for \['b'\]; it has \['w'\]"):
        gradtx.selective_transform(gradtx.sgd(1.0), freeze_mask={"w": True}).init(PARAMS)
