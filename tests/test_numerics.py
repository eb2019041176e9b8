"""Scalars at their limits: full counters, first steps, zero arrays."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradtx.numerics import (
    abs_sq,
    bounded_square,
    clipped_to_finite,
    debias,
    extremum,
    largest_along,
    safe_increment,
    safe_int32_increment,
    safe_norm,
    safe_root_mean_squares,
    safe_sqrt,
    squarable,
    without_infinity,
)
from gradtx.testing.events import COMPILED, compiler_events

ORDERS = [None, 1, 2, np.inf]


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int32, jnp.uint32, jnp.float16, jnp.float32])
def test_a_counter_stops_at_the_largest_number_of_its_dtype(dtype):
    limits = jnp.finfo(dtype) if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype)
    full = safe_increment(jnp.asarray(limits.max, dtype))
    assert full.dtype == dtype
    assert full.item() == limits.max
    second = safe_increment(jnp.ones((), dtype))
    assert second.dtype == dtype
    assert second == 2


def test_a_counter_reaches_its_largest_number():
    assert safe_increment(jnp.int32(2**31 - 2)) == 2**31 - 1
    assert safe_int32_increment(jnp.int32(6)) == 7


def test_what_does_not_count_is_refused():
    with pytest.raises(TypeError, match="counts integers or floats, got bool"):
        safe_increment(jnp.array(True))


@pytest.mark.parametrize("traced", [False, True])
@given(decay=st.floats(0, 1, exclude_max=True), count=st.integers(1, 2**31 - 1))
@settings(deadline=None, max_examples=100)
def test_debias_equals_float64_to_the_last_digits_of_float32(traced, decay, count):
    decay = float(np.float32(decay)) if traced else decay
    got = jax.jit(debias)(jnp.float32(decay), jnp.int32(count)) if traced else debias(decay, jnp.int32(count))
    exact = -np.expm1(np.float64(count) * np.log(np.float64(decay))) if decay else 1.0
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, exact, rtol=2e-6)


@pytest.mark.parametrize("decay", [0, 0.0, -0.5, 0.5, 1])
def test_debias_is_the_plain_formula_for_any_decay(decay):
    for count in range(4):
        chex.assert_trees_all_close(debias(decay, jnp.int32(count)), jnp.float32(1 - decay**count), rtol=1e-6)


def test_debias_does_not_cancel_at_the_first_step():
    plain = 1 - jnp.float32(0.999) ** jnp.float32(1)
    assert abs(plain - 0.001) > 1e-8
    np.testing.assert_allclose(debias(0.999, jnp.int32(1)), 0.001, rtol=5e-7)


def test_a_new_decay_compiles_nothing():
    count = jnp.int32(3)
    debias(0.5, count)
    with compiler_events(COMPILED) as compiled:
        for k in range(5):
            debias(0.9 + k / 100, count)
    assert not compiled


def test_what_cannot_be_squared_is_clipped_and_infinity_is_not_a_number():
    bound = 2.0**60
    given = [1.0, -bound, 1e30, -3e38, np.inf, -np.inf, np.nan]
    expected = [1.0, -bound, bound, -bound, np.nan, np.nan, np.nan]
    for dtype in (jnp.float32, jnp.bfloat16):
        clipped = squarable(jnp.asarray(given, dtype))
        np.testing.assert_array_equal(clipped.astype(jnp.float32), np.asarray(expected, np.float32))
    squares = abs_sq(squarable(jnp.full(128, 1e30, jnp.float32)))
    assert jnp.isfinite(jnp.sum(squares))
    assert squarable(jnp.complex64(3e38 - 2j)) == jnp.complex64(bound - 2j)
    assert jnp.isnan(squarable(jnp.complex64(complex(1, np.inf))))
    assert jnp.array_equal(
        without_infinity(jnp.asarray([1.0, np.inf, -np.inf])), jnp.asarray([1, np.nan, np.nan]), equal_nan=True
    )


def test_in_float64_only_what_its_squares_do_not_hold_is_clipped(x64):
    given = jnp.asarray([1e150, -1e30, 1e200])
    assert jnp.array_equal(squarable(given), jnp.asarray([1e150, -1e30, 2.0**508]))


def test_the_derivatives_of_a_safe_root_are_those_of_the_root_and_zero_at_zero():
    for value in (0.25, 4.0):
        assert jax.grad(safe_sqrt)(value) == jax.grad(jnp.sqrt)(value)
        chex.assert_trees_all_close(jax.grad(jax.grad(safe_sqrt))(value), jax.grad(jax.grad(jnp.sqrt))(value))
    assert jax.grad(safe_sqrt)(0.0) == 0
    assert jax.grad(jax.grad(safe_sqrt))(0.0) == 0
    chex.assert_trees_all_equal(jax.vmap(jax.grad(safe_sqrt))(jnp.array([0.0, 1.0])), jnp.array([0.0, 0.5]))
    chex.assert_trees_all_equal(safe_sqrt(jnp.array([0.0, 9.0])), jnp.array([0.0, 3.0]))


def test_the_square_of_a_complex_number_is_real():
    square = abs_sq(jnp.array([3 + 4j, 0, -1j]))
    assert square.dtype == jnp.float32
    chex.assert_trees_all_equal(square, jnp.array([25.0, 0.0, 1.0]))
    chex.assert_trees_all_equal(abs_sq(jnp.array([-3.0, 0.5])), jnp.array([9.0, 0.25]))


@pytest.mark.parametrize("number", [0.0, -3.0, 1e30, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.complex64])
def test_a_bounded_square_is_that_of_the_bounded_number(number, dtype):
    x = jnp.asarray(number, dtype)
    chex.assert_trees_all_equal(bounded_square(x), abs_sq(squarable(x)))


@pytest.mark.parametrize("shape", [(3,), (200, 300)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_an_extreme_keeps_infinity_and_nan(shape, dtype):
    x = jnp.ones(shape, dtype)
    assert extremum(jnp.max, x) == 1
    assert extremum(jnp.max, x.at[1].set(jnp.inf)) == jnp.inf
    assert extremum(jnp.min, x.at[1].set(-jnp.inf)) == -jnp.inf
    assert jnp.isnan(extremum(jnp.max, x.at[1].set(jnp.nan)))


arrays = hnp.arrays(np.float64, st.sampled_from([(1,), (4,), (2, 3)]), elements=st.floats(-1e6, 1e6))


@pytest.mark.parametrize("ord", ORDERS)
@given(x=arrays, min_norm=st.floats(0, 10))
@settings(deadline=None, max_examples=25)
def test_safe_norm_equals_that_of_optax(ord, x, min_norm):
    x = jnp.asarray(x, jnp.float32).ravel()
    chex.assert_trees_all_close(safe_norm(x, min_norm, ord), optax.safe_norm(x, min_norm, ord), rtol=1e-6)
    gradient = jax.grad(lambda x: safe_norm(x, min_norm, ord))(x)
    chex.assert_tree_all_finite(gradient)
    chex.assert_trees_all_close(gradient, jax.grad(lambda x: optax.safe_norm(x, min_norm, ord))(x), rtol=1e-6)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), [0, 1]])
def test_safe_norm_reduces_axes_as_in_optax(axis, keepdims):
    x = jnp.arange(12.0).reshape(3, 4) - 2
    with jax.numpy_rank_promotion("allow"):
        expected = optax.safe_norm(x, 6.0, axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=keepdims)
    got = safe_norm(x, 6.0, axis=axis, keepdims=keepdims)
    chex.assert_equal_shape([got, expected])
    chex.assert_trees_all_close(got, expected, rtol=1e-6)


@pytest.mark.parametrize("min_norm", [0.0, 1e-3])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_safe_norm_has_a_zero_gradient_at_zero(axis, min_norm):
    def total(x):
        return jnp.sum(safe_norm(x, min_norm, axis=axis))

    zeros = jnp.zeros((2, 3))
    chex.assert_trees_all_equal(jax.grad(total)(zeros), zeros)
    half = zeros.at[0, 0].set(3.0)
    chex.assert_trees_all_equal(jax.grad(total)(half), zeros.at[0, 0].set(1.0))


@given(x=arrays, min_rms=st.floats(0, 10))
@settings(deadline=None, max_examples=50)
def test_safe_root_mean_squares_equals_that_of_optax(x, min_rms):
    x = jnp.asarray(x, jnp.float32)
    expected = optax.safe_root_mean_squares(x, min_rms)
    chex.assert_trees_all_close(safe_root_mean_squares(x, min_rms), expected, rtol=1e-6, atol=1e-37)  # subnormal numbers
    chex.assert_tree_all_finite(jax.grad(safe_root_mean_squares)(x, min_rms))


def test_safe_root_mean_squares_has_a_zero_gradient_at_zero_and_below_its_least_value():
    gradient = jax.grad(safe_root_mean_squares)
    chex.assert_trees_all_equal(gradient(jnp.zeros(3), 0.0), jnp.zeros(3))
    chex.assert_trees_all_equal(gradient(jnp.ones(3), 2.0), jnp.zeros(3))


def test_safe_root_mean_squares_of_complex_numbers_and_of_nothing():
    root = safe_root_mean_squares(jnp.array([3 + 4j, 0]), 0.0)
    chex.assert_trees_all_close(root, jnp.float32(np.sqrt(12.5)))
    assert safe_root_mean_squares(jnp.zeros(0), 0.1) == jnp.float32(0.1)


def test_infinity_saturates_and_nan_stays():
    largest = jnp.finfo(jnp.float32).max
    assert jnp.array_equal(clipped_to_finite(jnp.asarray([1.0, jnp.inf, largest])), jnp.asarray([1.0, largest, largest]))
    assert jnp.isnan(clipped_to_finite(jnp.asarray(jnp.nan)))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1, (0, 1)])
def test_the_derivative_of_the_largest_is_that_of_the_maximum(axis, keepdims):
    x = jnp.asarray([[1.0, 3.0, 3.0], [2.0, -1.0, 0.0]])

    def slopes(largest):
        return jax.grad(lambda x: jnp.sum(jnp.sin(largest(x))))(x)

    ours = slopes(lambda x: largest_along(x, axis, keepdims))
    chex.assert_trees_all_close(ours, slopes(lambda x: jnp.max(x, axis, keepdims=keepdims)), rtol=1e-6)
    initial = jax.grad(lambda x: jnp.sum(largest_along(x, 1, initial=2.5)))(x)
    chex.assert_trees_all_equal(initial[1], jnp.zeros(3))  # where what it starts from is the largest, nothing moves it
