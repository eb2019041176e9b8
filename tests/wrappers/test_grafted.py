"""`grafted` and `scale_by_gradient_rms`: the direction of one transformation with the size of another."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

PARAMS = {"w": jnp.ones((3, 4)), "b": jnp.ones(4)}


def gradients(step):
    rng = np.random.default_rng(step)
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), PARAMS)


def updates_of(tx, steps=4, gradients=gradients):
    state, update, updates = tx.init(PARAMS), jax.jit(tx.update), PARAMS
    for step in range(steps):
        updates, state = update(gradients(step), state, PARAMS)
    return updates


def test_it_points_as_one_and_goes_as_far_as_the_other():
    muon = gradtx.masked(gradtx.scale_by_muon(), {"w": True, "b": False})
    adam = gradtx.scale_by_adam()
    both, directions, sizes = map(updates_of, (gradtx.grafted(muon, adam), muon, adam))
    for name in PARAMS:
        np.testing.assert_allclose(np.linalg.norm(both[name]), np.linalg.norm(sizes[name]), rtol=1e-6)
        unit = directions[name] / np.linalg.norm(directions[name])
        np.testing.assert_allclose(both[name] / np.linalg.norm(both[name]), unit, rtol=1e-4, atol=1e-6)


def test_the_first_steps_may_be_those_of_the_magnitude():
    adam = gradtx.scale_by_adam()
    tx = gradtx.grafted(gradtx.scale_by_sign(), adam, begin=2)
    chex.assert_trees_all_equal(updates_of(tx, 2), updates_of(adam, 2))
    assert np.ptp(np.abs(updates_of(tx, 3)["w"])) < 1e-6


def test_norms_whose_quotient_is_not_finite_are_grafted():
    tiny = gradtx.grafted(gradtx.scale(1e-30), gradtx.scale(1e30), eps=0.0)
    np.testing.assert_allclose(updates_of(tiny, 1)["w"], 1e30 * gradients(0)["w"], rtol=1e-5)
    zero = updates_of(gradtx.grafted(gradtx.scale(0.0), gradtx.identity(), eps=0.0))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(zero))


def test_a_mean_over_the_root_mean_square_is_adam():
    adam = gradtx.scale_by_adam(0.8, 0.95)
    composed = gradtx.scale_by_gradient_rms(gradtx.ema(0.8), 0.95)
    chex.assert_trees_all_close(updates_of(composed), updates_of(adam), rtol=1e-6)


def test_a_decay_of_one_sums_up():
    squares = sum(np.square(gradients(step)["b"]) for step in range(4))
    expected = gradients(3)["b"] / (np.sqrt(squares) + 1e-8)
    np.testing.assert_allclose(updates_of(gradtx.scale_by_gradient_rms(gradtx.identity(), 1.0))["b"], expected, rtol=1e-5)


def test_the_weight_of_the_latest_gradient_is_corrected_too():
    """Of a constant gradient every debiased mean is that gradient."""
    tx = gradtx.ema(0.9, output_decay=0.6)
    constant = updates_of(tx, 5, lambda step: gradients(0))
    chex.assert_trees_all_close(constant, gradients(0), rtol=1e-6)
    first, second = (np.asarray(gradients(step)["b"]) for step in range(2))
    expected = (0.6 * 0.1 * first + 0.4 * second) / (1 - 0.6 * 0.9)
    np.testing.assert_allclose(updates_of(tx, 2)["b"], expected, rtol=1e-5)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="grafted: begin must be at least 0"):
        gradtx.grafted(gradtx.identity(), gradtx.identity(), begin=-1)
    with pytest.raises(ValueError, match="scale_by_gradient_rms: decay must be at least 0 and at most 1"):
        gradtx.scale_by_gradient_rms(gradtx.identity(), 1.5)
    with pytest.raises(ValueError, match="output_decay must be at least 0 and below 1"):
        gradtx.ema(0.9, output_decay=1.0)
