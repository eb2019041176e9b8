"""Rprop: schedules, complex numbers, bounds."""

import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

GRADIENTS = [[1.0, -2.0], [0.5, 1.0], [-3.0, 1.0], [-1.0, 0.0], [-2.0, 3.0]]


def steps(tx, gradients):
    gradients = [jnp.asarray(g) for g in gradients]
    state, taken = tx.init(gradients[0]), []
    for g in gradients:
        u, state = tx.update(g, state)
        taken.append(u)
    return np.asarray(taken)


def halving(count):
    return jnp.asarray(0.1, jnp.float32) * 0.5 ** count.astype(jnp.float32)


def test_a_schedule_multiplies_all_steps():
    expected = steps(gradtx.rprop(1.0), GRADIENTS) * 0.1 * 0.5 ** np.arange(5)[:, None]
    np.testing.assert_allclose(steps(gradtx.rprop(halving), GRADIENTS), expected, rtol=1e-6)


def test_a_constant_schedule_is_its_constant():
    constant = steps(gradtx.rprop(gradtx.constant_schedule(0.1)), GRADIENTS)
    np.testing.assert_allclose(constant, steps(gradtx.rprop(0.1), GRADIENTS), rtol=1e-6)


def test_the_rescaling_alone_reads_a_schedule_once():
    np.testing.assert_array_equal(
        steps(gradtx.scale_by_rprop(halving), GRADIENTS), steps(gradtx.scale_by_rprop(0.1), GRADIENTS)
    )


def test_a_complex_number_moves_as_two_real_ones():
    pairs = steps(gradtx.rprop(0.1), GRADIENTS)
    numbers = steps(gradtx.rprop(0.1), [complex(*pair) for pair in GRADIENTS])
    np.testing.assert_array_equal(numbers, pairs @ np.array([1, 1j], np.complex64))


def test_steps_stay_within_their_bounds():
    constant = [[1.0]] * 6
    taken = steps(gradtx.rprop(0.1, eta_plus=2.0, max_step_size=0.5), constant)
    np.testing.assert_allclose(-taken.ravel(), [0.1, 0.2, 0.4, 0.5, 0.5, 0.5], rtol=1e-6)
    turning = [[1.0], [-1.0], [-1.0], [1.0], [1.0]]
    taken = steps(gradtx.rprop(0.1, eta_minus=0.1, min_step_size=0.05), turning)
    np.testing.assert_allclose(-taken.ravel(), [0.1, 0.0, -0.05, 0.0, 0.05], rtol=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"eta_minus": 1.0}, {"eta_minus": 0.0}, {"eta_plus": 1.0}, {"min_step_size": -1.0}, {"learning_rate": -0.1}]
)
def test_factors_and_sizes_out_of_range_are_refused(wrong):
    (name,) = wrong
    for make in (gradtx.rprop, gradtx.scale_by_rprop):
        with pytest.raises(ValueError, match=f"{make.__name__}: {name} must be"):
            make(**{"learning_rate": 0.1, **wrong})
