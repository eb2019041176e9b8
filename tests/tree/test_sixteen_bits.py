"""16-bit numbers and the float32 numbers that they are roundings of."""

import chex
import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradtx.tree.hashing import die_like
from gradtx.tree.sixteen_bits import joined, low_bits_of, rounded_at_random, step_to

DTYPES = (jnp.bfloat16, jnp.float16)


def float32_of_bits(bits):
    return np.asarray(bits, np.uint32).view(np.float32)


def split_and_joined(x, dtype, low_dtype=jnp.int16):
    p = x.astype(dtype)
    return joined(p, low_bits_of(x, p, low_dtype))


@settings(deadline=None)
@given(hnp.arrays(np.uint32, 200, elements=st.integers(0, 2**32 - 1)))
def test_any_float32_is_its_bfloat16_and_its_low_bits(bits):
    x = float32_of_bits(bits)
    x = np.where(np.isfinite(x.astype(jnp.bfloat16).astype(np.float32)), x, np.float32(1.0))
    tie = (x.view(np.uint32) & 0xFFFF) == 0x8000
    back = np.asarray(split_and_joined(jnp.asarray(x), jnp.bfloat16))
    np.testing.assert_array_equal(back[~tie], x[~tie])
    off = np.abs(back[tie].view(np.int32).astype(np.int64) - x[tie].view(np.int32))
    assert np.all(off <= 1)
    np.testing.assert_array_equal(back.astype(jnp.bfloat16), x.astype(jnp.bfloat16))


def test_a_float32_is_its_float16_and_its_low_bits():
    x = jax.random.normal(jax.random.key(0), (10000,)) * 10.0 ** jnp.linspace(-5, 4, 10000)
    back = split_and_joined(x, jnp.float16)
    exact = jnp.abs(x) > 6e-5
    chex.assert_trees_all_equal(back[exact], x[exact])
    chex.assert_trees_all_close(back, x, atol=1e-12, rtol=0)


def test_eight_low_bits_are_fifteen_significant_ones_at_least():
    x = jax.random.normal(jax.random.key(0), (10000,))
    back = split_and_joined(x, jnp.bfloat16, jnp.int8)
    assert jnp.max(jnp.abs(back - x) / jnp.abs(x)) <= 2.0**-15
    chex.assert_trees_all_equal(back.astype(jnp.bfloat16), x.astype(jnp.bfloat16))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_has_no_low_bits(dtype, number):
    x = jnp.full((), number, jnp.float32)
    assert low_bits_of(x, x.astype(dtype), jnp.int16) == 0
    for low in (-5, 0, 5):
        chex.assert_trees_all_equal(joined(x.astype(dtype), jnp.asarray(low, jnp.int16)), x)


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_low_bits_that_a_zero_was_left_do_not_turn_its_sign(zero):
    made = joined(jnp.asarray(zero, jnp.bfloat16), jnp.asarray(-7, jnp.int16))
    assert made == 0
    assert jnp.signbit(made) == np.signbit(zero)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_leads_to_what_is_wanted(dtype):
    p, factor = (jax.random.normal(jax.random.key(k), (10000,)) for k in range(2))
    wanted, p = (p * jnp.where(jnp.abs(factor) < 1e-3, 1, factor)).astype(dtype), p.astype(dtype)
    chex.assert_trees_all_equal((p.astype(jnp.float32) + step_to(wanted, p)).astype(dtype), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [1.0023438, -3e-6])
def test_rounding_at_random_has_the_number_for_its_mean(dtype, number):
    x = jnp.full(1_000_000, number, jnp.float32)
    rounded = np.asarray(rounded_at_random(x, dtype, die_like(x, jnp.asarray([1, 2], jnp.uint32))), np.float64)
    assert len(np.unique(rounded)) <= 2
    chex.assert_trees_all_equal(rounded.astype(dtype).astype(np.float64), rounded)
    standard_error = np.std(rounded) / 1000
    assert abs(np.mean(rounded) - np.float64(np.float32(number))) <= 4 * standard_error


def test_rounding_at_random_leaves_what_needs_none():
    x = jnp.asarray([0.0, -0.0, 1.5, jnp.inf, -jnp.inf, jnp.nan, 3.3e38])
    for die in (0.0, 0.999):
        rounded = rounded_at_random(x, jnp.bfloat16, jnp.full(x.shape, die))
        chex.assert_trees_all_equal(rounded[:6], x[:6])
        assert jnp.isfinite(rounded[6])


def test_a_die_is_uniform_and_each_entry_has_its_own():
    die = die_like(jnp.zeros((300, 400)), jnp.asarray([3, 4], jnp.uint32))
    counts = np.histogram(np.asarray(die), 64, (0, 1))[0]
    assert np.sum((counts - 1875) ** 2) / 1875 < 63 + 5 * np.sqrt(2 * 63)
    left, right = die[:, :-1] - 0.5, die[:, 1:] - 0.5
    assert abs(jnp.mean(left * right) * 12) < 5 / np.sqrt(left.size)
