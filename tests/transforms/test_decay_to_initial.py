"""`decay_to_initial`: what is pulled back, how far, and what is not."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

START = {"w": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(3.0), "hole": None}
NOW = {"w": jnp.asarray([2.0, -2.0]), "b": jnp.asarray(5.0), "hole": None}
ZEROS = {"w": jnp.zeros(2), "b": jnp.zeros(()), "hole": None}


def test_a_fraction_of_the_way_back_is_added():
    tx = gradtx.decay_to_initial(0.5)
    state = tx.init(START)
    chex.assert_trees_all_equal(tx.update(ZEROS, state, START)[0], ZEROS)
    expected = {"w": jnp.asarray([0.5, 0.0]), "b": jnp.asarray(1.0), "hole": None}
    chex.assert_trees_all_equal(tx.update(ZEROS, state, NOW)[0], expected)


def test_a_schedule_counts_steps_and_a_mask_leaves_out():
    tx = gradtx.masked(gradtx.decay_to_initial(lambda step: step.astype(float)), {"w": False, "b": True, "hole": False})
    state = tx.init(START)
    for pull in (0.0, 2.0, 4.0):
        updates, state = tx.update(ZEROS, state, NOW)
        chex.assert_trees_all_equal(updates, {**ZEROS, "b": jnp.asarray(pull)})


def test_without_gradients_the_parameters_come_back():
    tx = gradtx.chain(gradtx.decay_to_initial(1.0), gradtx.scale_by_learning_rate(0.5))
    state, p = tx.init(START["w"]), NOW["w"]
    for _ in range(20):
        updates, state = tx.update(jnp.zeros(2), state, p)
        p = gradtx.apply_updates(p, updates)
    np.testing.assert_allclose(p, START["w"], rtol=1e-5)


def test_of_bfloat16_the_beginning_is_kept_in_float32():
    p = jnp.asarray([1.0, -2.0], jnp.bfloat16)
    tx = gradtx.decay_to_initial(0.5)
    state = tx.init(p)
    updates, state = tx.update(jnp.zeros_like(p), state, 2 * p)
    assert (updates.dtype, state.init_params.dtype) == (jnp.bfloat16, jnp.float32)
    np.testing.assert_array_equal(updates, p / 2)


def test_the_parameters_are_asked_for_by_name():
    tx = gradtx.decay_to_initial(0.1)
    with pytest.raises(ValueError, match="decay_to_initial reads the parameters"):
        tx.update(ZEROS, tx.init(START))
