"""Norms of a whole tree, which neither overflow nor vanish."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

AxisName: TypeAlias = str | tuple[str, ...]
_Axes: TypeAlias = tuple[str, ...]

_SMALL = 1 << 16  # elements; on CPU float32 is four times faster for arrays beyond the cache


def norm(
    tree: Any, ord: int | float | str | None = None, squared: bool = False, *, axis_name: AxisName | None = None
) -> jax.Array:
    """Return the norm of all entries of a tree together, computed in float32 or wider.

        ord 2 (or None): √Σ|x|²        ord 1: Σ|x|        ord inf: max|x|

    It is finite where all entries are: a norm larger than its dtype can hold is returned as the largest number of that
    dtype. An entry that is inf makes it inf, and NaN makes it NaN. The norm of an empty tree is 0, and where the Euclidean
    norm is 0 so is its gradient. Holes are skipped.

    Args:
      tree: a tree of arrays.
      ord: order of the norm: None, 1, 2, inf, or the word "inf".
      squared: whether to return the square, which may overflow.
      axis_name: axes of a mesh (or of `pmap`) to reduce over. Within `shard_map`, where a device sees its own part only,
        the norm is then that of the whole. A leaf that `shard_map` knows to be the same all along an axis counts once; with
        `check_vma=False` it does not know.

    Raises:
      ValueError: the order is another one.
    """
    if ord not in (None, 1, 2, math.inf, "inf"):
        raise ValueError(f"norm: ord must be None, 1, 2 or inf, got {ord!r}.")
    axes = (axis_name,) if isinstance(axis_name, str) else tuple(axis_name or ())
    return _norm(jax.tree.leaves(tree) or [0.0], ord, squared, axes)


def global_norm(updates: Any) -> jax.Array:
    """Return √Σ|x|² over all entries of a tree; see `norm`."""
    return norm(updates)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))  # without it, `cond` compiles again on every call
def _norm(leaves: Sequence[Any], ord: Any, squared: bool, axes: _Axes) -> jax.Array:
    leaves = [_floating(leaf) for leaf in leaves]
    if ord in (None, 2):
        leaves = [part for x in leaves for part in _real_and_imaginary(x)]
        return _total(_sum_of_squares, leaves, axes) if squared else _euclidean(leaves, axes)
    result = (_absolute if ord == 1 else _largest)([jnp.abs(x) for x in leaves], axes)
    return jnp.square(result) if squared else result


# --- the three norms, of real leaves -------------------------------------------------------------------------------------


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _euclidean(leaves: Sequence[jax.Array], axes: _Axes) -> jax.Array:
    small = [x for x in leaves if x.size <= _SMALL and x.dtype != jnp.float64]
    large = [x for x in leaves if x.size > _SMALL or x.dtype == jnp.float64]
    if not large:
        return _in_float64(small, axes)
    if not small:
        return _in_units(large, axes)
    parts = _in_float64(small, axes), _in_units(large, axes)
    dtype = _common_dtype(leaves)
    return _bounded(jnp.hypot(*(part.astype(dtype) for part in parts)), jnp.maximum(*(part.astype(dtype) for part in parts)))


def _in_float64(leaves: Sequence[jax.Array], axes: _Axes) -> jax.Array:
    """Add up the squares in float64, which no square of a float32 leaves: simple, and fast for arrays that fit a cache."""
    with jax.enable_x64(True):
        root = jnp.sqrt(_sum_over([_sum_of_squares(x, jnp.float64) for x in leaves], leaves, axes))
        return _bounded(root.astype(jnp.float32), root)


def _in_units(leaves: Sequence[jax.Array], axes: _Axes) -> jax.Array:
    """Read the leaves once; only if their squares overflow or vanish, read them again in other units."""
    squares = _total(_sum_of_squares, leaves, axes)
    limits = jnp.finfo(squares.dtype)
    # A square that vanishes is below `tiny`: in a sum above this, all that vanished is less than the rounding.
    smallest = float(limits.tiny) / float(limits.eps) * sum(x.size for x in leaves) * _size(axes)
    factor = _power_of_two(squares > limits.max, squares < smallest, squares.dtype)

    def in_other_units() -> jax.Array:
        root = jnp.sqrt(_total(_sum_of_squares, leaves, axes, factor))
        return _bounded(root / factor, root)

    return lax.cond(factor == 1, lambda: jnp.sqrt(squares), in_other_units)


@_euclidean.defjvp
def _euclidean_jvp(axes: _Axes, primals: tuple[Any], tangents: tuple[Any]) -> tuple[jax.Array, jax.Array]:
    """d‖x‖ = Σ x dx / ‖x‖, and 0 at 0."""
    leaves, changes = primals[0], tangents[0]
    result = _euclidean(leaves, axes)
    root = float(jnp.finfo(result.dtype).max) ** 0.5
    # The compiler multiplies by 1/‖x‖, which vanishes where ‖x‖ is near the largest number.
    factor = _power_of_two(result > root, result < 1 / root, result.dtype)
    inverse = 1 / jnp.where(result == 0, 1, result * factor)
    slopes = [_sum_of_products(x, dx, factor, inverse) for x, dx in zip(leaves, changes, strict=True)]
    return result, _sum_over(slopes, leaves, axes)


def _absolute(leaves: Sequence[jax.Array], axes: _Axes) -> jax.Array:
    total = _total(_sum, leaves, axes)
    factor = _power_of_two(jnp.isinf(total), False, total.dtype)

    def in_other_units() -> jax.Array:
        total = _total(_sum, leaves, axes, factor)
        return _bounded(total / factor, total)

    return lax.cond(factor == 1, lambda: total, in_other_units)


def _largest(leaves: Sequence[jax.Array], axes: _Axes) -> jax.Array:
    dtype = _common_dtype(leaves)
    largest = functools.reduce(lax.max, [_max(x).astype(dtype) for x in leaves])
    return lax.pmax(largest, axes) if axes else largest


def _power_of_two(too_large: Any, too_small: Any, dtype: Any) -> jax.Array:
    """A factor that rounds nothing and brings what is too large, or too small, to be squared to the middle of the range."""
    exponent = jnp.finfo(dtype).maxexp * 5 // 8  # 80 for float32: 2¹²⁸ becomes 2⁴⁸, and 2⁻¹²⁶ becomes 2⁻⁴⁶
    return jnp.where(too_large, 2.0**-exponent, jnp.where(too_small, 2.0**exponent, 1.0)).astype(dtype)


def _bounded(result: jax.Array, original: jax.Array) -> jax.Array:
    """`result`, or the largest number of its dtype where it has overflowed and `original` has not."""
    return jnp.where(jnp.isfinite(original), jnp.minimum(result, jnp.finfo(result.dtype).max), result)


# --- leaves: jitted, so that those of one shape are traced once ----------------------------------------------------------


@functools.partial(jax.jit, static_argnames="dtype")
def _sum(x: jax.Array, dtype: Any, factor: jax.Array | None = None) -> jax.Array:
    return jnp.sum(_times(x.astype(dtype), factor))


@functools.partial(jax.jit, static_argnames="dtype")
def _sum_of_squares(x: jax.Array, dtype: Any, factor: jax.Array | None = None) -> jax.Array:
    return jnp.sum(jnp.square(_times(x.astype(dtype), factor)))


def _times(x: jax.Array, factor: jax.Array | None) -> jax.Array:
    return x if factor is None else x * factor


@jax.jit
def _sum_of_products(x: jax.Array, dx: jax.Array, factor: jax.Array, inverse: jax.Array) -> jax.Array:
    return jnp.sum(x.astype(factor.dtype) * factor * inverse * dx.astype(factor.dtype))


@jax.jit
def _max(x: jax.Array) -> jax.Array:
    return jnp.max(x, initial=0)


def _floating(leaf: Any) -> jax.Array:
    x = jnp.asarray(leaf)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(float)


def _real_and_imaginary(x: jax.Array) -> Iterator[jax.Array]:
    yield from (x.real, x.imag) if jnp.iscomplexobj(x) else (x,)


def _common_dtype(leaves: Sequence[jax.Array]) -> Any:
    double = any(x.dtype == jnp.float64 for x in leaves)
    return jnp.dtype(jnp.float64 if double else jnp.float32)


# --- sums over leaves and devices ----------------------------------------------------------------------------------------


def _total(
    measure: Callable[..., jax.Array], leaves: Sequence[jax.Array], axes: _Axes, factor: jax.Array | None = None
) -> jax.Array:
    """Add up, over all leaves and devices, what `measure` makes of each leaf multiplied by `factor`."""
    dtype = _common_dtype(leaves)
    # A factor of its own for each leaf: one factor for several would be spread to an array as large as a leaf (XLA on CPU).
    factors = [None] * len(leaves) if factor is None else lax.optimization_barrier([factor] * len(leaves))
    return _sum_over([measure(x, dtype, f) for x, f in zip(leaves, factors, strict=True)], leaves, axes)


def _sum_over(terms: Sequence[jax.Array], leaves: Sequence[jax.Array], axes: _Axes) -> jax.Array:
    """Add up the terms that come of `leaves`, and those of all devices along `axes`."""
    if axes:
        terms = [term / _copies(x, axes) for term, x in zip(terms, leaves, strict=True)]
    total = functools.reduce(lax.add, terms)  # jnp's + takes four times as long to trace
    return lax.psum(total, axes) if axes else total


def _size(axes: _Axes) -> int:
    return math.prod(lax.axis_size(axis) for axis in axes)


def _copies(x: jax.Array, axes: _Axes) -> int:
    """How many devices along `axes` hold this same part of `x`, as far as `shard_map` tells."""
    return _size(tuple(axis for axis in axes if _varies(lax.axis_index(axis), axis) and not _varies(x, axis)))


def _varies(x: jax.Array, axis: str) -> bool:
    """Whether devices along an axis hold different values, as the type says; without `check_vma` it never does."""
    return axis in jax.typeof(x).manual_axis_type.varying
