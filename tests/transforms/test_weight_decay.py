"""Weight decay with masks, and what it refuses."""

import chex
import jax
import jax.numpy as jnp
import pytest

from gradtx.transforms.weight_decay import WeightDecaySchedule, add_decayed_weights
from gradtx.tree.masks import MaskedState

PARAMS = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
ZEROS = {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}
DECAYED = {"kernel": jnp.full((2, 3), 0.5), "bias": jnp.zeros(3)}


def matrices(params):
    return jax.tree.map(lambda p: p.ndim == 2, params)


@pytest.mark.parametrize("mask", [matrices, {"kernel": True, "bias": False}], ids=["function", "tree"])
def test_what_is_masked_out_does_not_decay(mask):
    tx = add_decayed_weights(0.5, mask)
    chex.assert_trees_all_equal(tx.update(ZEROS, tx.init(PARAMS), PARAMS)[0], DECAYED)


def test_a_schedule_counts_behind_a_mask():
    tx = add_decayed_weights(lambda step: 0.5 + step.astype(float), matrices)
    updates, state = tx.update(ZEROS, tx.init(PARAMS), PARAMS)
    chex.assert_trees_all_equal(updates, DECAYED)
    chex.assert_trees_all_equal(state, MaskedState(WeightDecaySchedule(jnp.int32(1))))


@pytest.mark.parametrize(("updates", "params"), [({}, {}), (None, {}), (None, None), ((), ())])
def test_empty_trees_pass_through_a_mask(updates, params):
    tx = add_decayed_weights(0.1, matrices)
    assert tx.update(updates, tx.init(params), {} if params is None else params)[0] == updates


def test_holes_in_the_updates_stay_holes_behind_a_mask():
    tx = add_decayed_weights(0.5, matrices)
    updates = {"kernel": ZEROS["kernel"], "bias": None}
    chex.assert_trees_all_equal(tx.update(updates, tx.init(PARAMS), PARAMS)[0], {**DECAYED, "bias": None})


@pytest.mark.parametrize("mask", [None, matrices], ids=["plain", "masked"])
def test_the_parameters_are_required_with_a_mask_too(mask):
    tx = add_decayed_weights(0.1, mask)
    with pytest.raises(ValueError, match="add_decayed_weights reads the parameters: call update"):
        tx.update(ZEROS, tx.init(PARAMS))
    with pytest.raises(TypeError, match="add_decayed_weights: nothing here reads the extra argument 'valeu'"):
        tx.update(ZEROS, tx.init(PARAMS), PARAMS, valeu=1)  # pyright: ignore[reportCallIssue]


def test_a_mask_that_does_not_match_is_refused_by_path():
    with pytest.raises(TypeError, match=r"add_decayed_weights: mask\['kernel'\] must be True or False, got 1"):
        add_decayed_weights(0.1, {"kernel": 1, "bias": False})
    with pytest.raises(ValueError, match=r"add_decayed_weights: mask has nothing for \['bias'\]; it has \['kernel'\]"):
        add_decayed_weights(0.1, {"kernel": True}).init(PARAMS)


@pytest.mark.parametrize("weight_decay", [0.5, lambda step: 0.5], ids=["number", "schedule"])
def test_cautious_decay_takes_what_moves_towards_zero_or_stays(weight_decay):
    g, p = jnp.asarray([1.0, -1.0, 0.0, -1.0, 1.0]), jnp.asarray([2.0, -2.0, 2.0, 2.0, -2.0])
    tx = add_decayed_weights(weight_decay, cautious=True)
    updates, _ = tx.update(g, tx.init(p), p)
    chex.assert_trees_all_close(updates, jnp.asarray([2.0, -2.0, 1.0, -1.0, 1.0]))


def test_cautious_decay_sees_the_signs_of_numbers_whose_product_is_zero():
    g, p = jnp.asarray([1e-30, -1e-30]), jnp.asarray([1e-30, 1e-30])
    tx = add_decayed_weights(1.0, cautious=True)
    chex.assert_trees_all_close(tx.update(g, tx.init(p), p)[0], jnp.asarray([2e-30, -1e-30]), rtol=1e-6, atol=0)


def test_cautious_decay_leaves_what_is_masked_out():
    tx = add_decayed_weights(0.5, matrices, cautious=True)
    chex.assert_trees_all_equal(tx.update(ZEROS, tx.init(PARAMS), PARAMS)[0], DECAYED)
