"""Scalars and arrays handled with care: counters that saturate, roots and norms with a gradient at zero."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

Count: TypeAlias = jax.Array
"""An int32 scalar: how many steps were taken."""


@jax.jit
def safe_increment(count: Any) -> jax.Array:
    """Return `count + 1`, or `count` where that would overflow its dtype.

    Args:
      count: a scalar of an integer or floating dtype.
    """
    count = jnp.asarray(count)
    if jnp.issubdtype(count.dtype, jnp.integer):
        largest = jnp.iinfo(count.dtype).max
    elif jnp.issubdtype(count.dtype, jnp.floating):
        largest = jnp.finfo(count.dtype).max
    else:
        raise TypeError(f"safe_increment counts integers or floats, got {count.dtype}.")
    one = jnp.ones((), count.dtype)
    return jnp.where(count < jnp.asarray(largest, count.dtype), count + one, count)


def safe_int32_increment(count: Any) -> jax.Array:
    """Another name of `safe_increment`, which programs written for Optax use."""
    return safe_increment(count)


def hidden_zero() -> jax.Array:
    """Return an int32 of 0 that the compiler does not know to be 0: it neither computes nor leaves out what depends on it."""
    return lax.optimization_barrier(jnp.zeros((), jnp.int32))


def debias(decay: Any, count: jax.Array) -> jax.Array:
    """Return `1 - decay**count`: the weight that an average from zero has accumulated after `count` steps.

    Written as `-expm1(count log(decay))`, exact where the plain formula cancels: for decay 0.999 and one step in float32
    that loses 5e-5 of the result. The result belongs to the decay as it is given: of an array, to the number that it holds.
    """
    if isinstance(decay, int | float) and decay > 0:
        return _one_minus_power(math.log(decay), count)
    return _debias(decay, count)


@jax.jit  # one call instead of four outside of jit; no number is static, as each would be compiled and kept
def _one_minus_power(log_decay: Any, count: Any) -> jax.Array:
    steps = jnp.asarray(count).astype(float)
    return -jnp.expm1(steps * jnp.asarray(log_decay, steps.dtype))


@jax.jit
def _debias(decay: Any, count: Any) -> jax.Array:
    steps = jnp.asarray(count).astype(float)
    decay = in_dtype(decay, steps.dtype)
    # log1p keeps the digits of log |b| near 1, where 1 − |b| is exact; log 0 would be NaN, also in the branch not taken.
    log = jnp.log1p(-jnp.where(decay > 0, 1 - decay, jnp.where(decay < 0, 1 + decay, 0)))
    # The power in parts, as the derivative of `**` asks for float64 where `enable_x64` has ended.
    of_negative = (1 - 2 * (steps % 2)) * jnp.exp(steps * log)
    of_zero = jnp.where(steps == 1, decay, (steps == 0).astype(steps.dtype))
    return jnp.where(decay > 0, _one_minus_power(log, count), 1 - jnp.where(decay < 0, of_negative, of_zero))


def in_dtype(number: Any, dtype: Any) -> Any:
    """Return a number in a dtype, whether it is of Python, an array, or `Rounded`, which then still is."""
    return jax.tree.map(lambda x: jnp.asarray(x).astype(dtype), number)


def clipped_to_finite(x: jax.Array) -> jax.Array:
    """Return real `x`, infinity as the largest number of the dtype: an infinite mean never decays, and inf/inf is NaN."""
    return lax.min(x, x.dtype.type(jnp.finfo(x.dtype).max))


def added_finitely(total: jax.Array, x: jax.Array) -> jax.Array:
    """Return `total + x`, and the largest number of the dtype instead of infinity, for a finite total and x of at least 0.

    Not as the minimum of the sum: of an array that such an operation ends with, XLA keeps the old one beside the new on a CPU.
    """
    return lax.add(total, lax.min(x, x.dtype.type(jnp.finfo(x.dtype).max) - total))


def abs_sq(x: jax.Array) -> jax.Array:
    """Return |x|², real also for complex `x`; infinite for a float32 above 1.8e19, unless `squarable` has bounded it."""
    return lax.square(x.real) + lax.square(x.imag) if jnp.iscomplexobj(x) else lax.square(x)


def adjoint(x: jax.Array) -> jax.Array:
    """Return the conjugate transposes of matrices."""
    return jnp.conj(x.mT)


def squarable(x: jax.Array) -> jax.Array:
    """Return `x` with moduli of at most 1.2e18 in float32, whose squares can be added up, and NaN instead of infinity.

    A gradient and the root that divides it must be clipped alike: 1e30 over the root of the largest float32 is a step of
    5e10, and it should be 1. What is infinite has no size to be divided by. In float64 the bound is 8e152.
    """
    if jnp.iscomplexobj(x):
        return lax.complex(squarable(x.real), squarable(x.imag))
    # Of `lax`, as all rules of Adam's kind come through here: the functions of `jnp` take five times as long to trace.
    # x − x is 0, and NaN where x is infinite: a select takes kernels a tenth longer to compile.
    bound = x.dtype.type(largest_squarable(x.dtype))
    return lax.add(lax.max(lax.min(x, bound), -bound), lax.sub(x, x))


def bounded_square(x: jax.Array) -> jax.Array:
    """Return |x|² of `squarable(x)`; a compiler that needs both can compute each where it is used, and keep neither."""
    if jnp.iscomplexobj(x):
        return bounded_square(x.real) + bounded_square(x.imag)
    bound = largest_squarable(x.dtype)
    return lax.min(lax.square(x), x.dtype.type(bound * bound)) + (x - x)


def without_infinity(x: jax.Array) -> jax.Array:
    """Return `x` with NaN instead of infinity, which a sign, a bound or a quotient would hide."""
    return jnp.where(jnp.isinf(x), jnp.nan, x)


def largest_squarable(dtype: Any) -> float:
    """Return the largest power of 2 of which 128 squares can be added up in a real dtype."""
    return 2.0 ** ((int(jnp.finfo(dtype).maxexp) - 8) // 2)


def extremum(pick: Callable[..., jax.Array], x: jax.Array, **options: Any) -> jax.Array:
    """Return `jnp.max(x)` or `jnp.min(x)`, and NaN if `x` holds one: compiled for CPUs they lose that of a large array.

    Args:
      pick: `jnp.max` or `jnp.min`.
      x: an array.
      **options: of `pick`, if it picks one of all entries.
    """
    picked = pick(x, **options)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return picked
    # The sign of NaN is NaN: unlike `any(isnan(x))`, the sum needs no array of flags.
    return jnp.where(jnp.isnan(jnp.sum(jnp.sign(x))), jnp.nan, picked)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def largest_along(x: jax.Array, axis: Any, keepdims: bool = False, initial: float | None = None) -> jax.Array:
    """Return `jnp.max(x, axis)` of real numbers, whose derivative is the mean of those of all entries as large up to rounding.

    That of `jnp.max` is 0/0 where a compiler computes `x` again, otherwise rounded, so that no entry is equal to the largest.
    """
    return jnp.max(x, axis=axis, keepdims=keepdims, initial=initial)


@largest_along.defjvp
def _largest_along_jvp(
    axis: Any, keepdims: bool, initial: float | None, primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    x, changes = primals[0], tangents[0]
    largest = largest_along(x, axis, True, initial)
    chosen = x >= largest - 4 * jnp.finfo(x.dtype).eps * jnp.abs(largest)
    number = jnp.maximum(jnp.sum(chosen, axis=axis, keepdims=True), 1).astype(x.dtype)
    change = jnp.sum(jnp.where(chosen, changes, 0), axis=axis, keepdims=True) / number
    return (largest, change) if keepdims else (jnp.squeeze(largest, axis), jnp.squeeze(change, axis))


@jax.custom_jvp
def safe_sqrt(x: jax.Array) -> jax.Array:
    """Return √x with derivative 0 at 0, where the true one is infinite and turns a meta-gradient into NaN."""
    return jnp.sqrt(x)


@safe_sqrt.defjvp
def _safe_sqrt_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    root = safe_sqrt(primals[0])  # not jnp.sqrt, whose own derivative would come back in a second one
    zero = root == 0
    # Nothing is divided by 0 in the branch not taken either: a second derivative would find NaN there.
    return root, jnp.where(zero, 0, tangents[0] * 0.5 / jnp.where(zero, 1, root))


def safe_norm(
    x: jax.Array,
    min_norm: Any,
    ord: int | float | str | None = None,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
) -> jax.Array:
    """Return `max(norm(x), min_norm)`, with gradient 0 (not NaN) where the norm is at most `min_norm`.

    Args:
      x: an array.
      min_norm: the least value returned.
      ord: order of the norm, as in `jnp.linalg.norm`.
      axis: axes to reduce, as in `jnp.linalg.norm`.
      keepdims: whether the reduced axes stay, with size 1.
    """
    axis = axis if axis is None or isinstance(axis, int) else tuple(axis)
    norm = jnp.linalg.norm(x, ord=ord, axis=axis, keepdims=True)
    small = norm <= min_norm
    # The norm of ones where it is small: the derivative of a norm at 0 is NaN, also in the branch not taken.
    norm = jnp.linalg.norm(jnp.where(small, jnp.ones_like(x), x), ord=ord, axis=axis, keepdims=keepdims)
    small = small.reshape(norm.shape)
    return jnp.where(small, min_norm, norm)


def safe_root_mean_squares(x: jax.Array, min_rms: Any) -> jax.Array:
    """Return `max(√mean(|x|²), min_rms)`, with gradient 0 (not NaN) where the root is at most `min_rms`.

    An empty array has root 0.
    """
    # The mean of nothing is NaN.
    mean = jnp.mean(clipped_to_finite(abs_sq(x))) if jnp.size(x) else jnp.zeros((), jnp.finfo(x.dtype).dtype)
    return jnp.maximum(safe_sqrt(mean), min_rms)
