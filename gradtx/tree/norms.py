"""Norms of a whole tree, which neither overflow nor vanish."""

import functools
import itertools
import math
import numbers
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.numerics import extremum
from gradtx.tree.batches import on_rows
from gradtx.tree.dtypes import working_dtype
from gradtx.tree.layout import varying_axes
from gradtx.tree.scopes import combined, devices_along, largest_of_devices, split_of

AxisName: TypeAlias = str | tuple[str, ...]
_Axes: TypeAlias = tuple[str, ...]


class _Devices(NamedTuple):
    """Along which axes of a mesh other devices have parts of the leaves."""

    axes: _Axes  # all axes that the user has named
    split: tuple[_Axes, ...]  # or for each leaf those along which it is split


def norm(
    tree: Any, ord: int | float | str | None = None, squared: bool = False, *, axis_name: AxisName | None = None
) -> jax.Array:
    """Return the norm of all entries of a tree together, computed in float32 or wider.

        ord 2 (or None): √Σ|x|²        ord 1: Σ|x|        ord inf: max|x|        ord p: (Σ|x|ᵖ)^(1/p)

    Sums are taken in float64, so that no square of a smaller dtype overflows or vanishes. A norm larger than its dtype can
    hold is returned as the largest number of that dtype; of float64 entries themselves, squares beyond 1e±308 are lost. An
    entry that is inf makes the norm inf, and NaN makes it NaN. The norm of an empty tree is 0, and where the Euclidean norm
    is 0 so is its gradient. Holes are skipped.

    Args:
      tree: a tree of arrays.
      ord: order of the norm: None, any number above 0, inf, or the word "inf". Of orders other than 1, 2 and inf, all leaves
        are read twice, since powers are taken in units of the largest entry.
      squared: whether to return the square.
      axis_name: axes of a mesh (or of `pmap`) to reduce over. Within `shard_map`, where a device sees its own part only,
        the norm is then that of the whole. A leaf that `shard_map` knows to be the same all along an axis counts once; with
        `check_vma=False` it does not know.

    Raises:
      ValueError: the order is another one.
    """
    if ord not in (None, "inf") and not (isinstance(ord, numbers.Real) and float(ord) > 0):
        raise ValueError(f"norm: ord must be None, above 0, or inf, got {ord!r}.")
    axes = (axis_name,) if isinstance(axis_name, str) else tuple(axis_name or ())
    split = () if axes else tuple(split_of(tree) or ())
    return _norm(jax.tree.leaves(tree) or [0.0], ord, squared, _Devices(axes, split))


def global_norm(updates: Any) -> jax.Array:
    """Return √Σ|x|² over all entries of a tree; see `norm`."""
    return norm(updates)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _norm(leaves: Sequence[Any], ord: Any, squared: bool, devices: _Devices) -> jax.Array:
    leaves = [_floating(leaf) for leaf in leaves]
    if ord in (None, 2):
        # Squares of both parts, without the root that a modulus takes.
        parts = [tuple(_real_and_imaginary(x)) for x in leaves]
        devices = devices._replace(split=tuple(names for names, each in zip(devices.split, parts, strict=False) for _ in each))
        leaves = [part for each in parts for part in each]
        return _total(_sums_of_squares, leaves, devices) if squared else _euclidean(leaves, devices)
    leaves = [jnp.abs(x) for x in leaves]
    if ord == 1:
        result = _total(_sums, leaves, devices)
    else:
        result = _largest(leaves, devices) if ord in (math.inf, "inf") else _of_order(ord, leaves, devices)
    return jnp.square(result) if squared else result


# --- norms of real leaves ------------------------------------------------------------------------------------------------


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _euclidean(leaves: Sequence[jax.Array], devices: _Devices) -> jax.Array:
    return _total(_sums_of_squares, leaves, devices, root=True)


@_euclidean.defjvp
def _euclidean_jvp(devices: _Devices, primals: tuple[Any], tangents: tuple[Any]) -> tuple[jax.Array, jax.Array]:
    """d‖x‖ = Σ x dx / ‖x‖, and 0 at 0."""
    leaves, changes = primals[0], tangents[0]
    result = _euclidean(leaves, devices)
    with jax.enable_x64(True):
        slopes = _sum_over(_sums_of_products(list(zip(leaves, changes, strict=True))), leaves, devices)
        slope = slopes / jnp.where(result == 0, 1, result).astype(slopes.dtype)
        return result, slope.astype(result.dtype)


def _largest(leaves: Sequence[jax.Array], devices: _Devices) -> jax.Array:
    dtype = working_dtype(leaves)
    largest = functools.reduce(lax.max, [_max(x).astype(dtype) for x in leaves])
    axes = devices.axes or tuple(dict.fromkeys(itertools.chain(*devices.split)))
    return largest_of_devices(largest, axes) if axes else largest


def _of_order(p: float, leaves: Sequence[jax.Array], devices: _Devices) -> jax.Array:
    """(Σ|x|ᵖ)^(1/p), with powers of what no power makes overflow: an entry over the largest one."""
    largest = lax.stop_gradient(_largest(leaves, devices))
    unit = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    total = _total(lambda rows: [_sum_of_powers(p, unit, *row) for row in rows], leaves, devices)
    zero = total == 0  # where the root has no finite derivative, also in the branch not taken
    result = unit * jnp.where(zero, 0, jnp.where(zero, 1, total) ** (1 / p))
    return jnp.where(jnp.isfinite(largest), jnp.minimum(result, jnp.finfo(result.dtype).max), result)


def _total(
    measures: Callable[[list[tuple[jax.Array]]], list[jax.Array]],
    leaves: Sequence[jax.Array],
    devices: _Devices,
    *,
    root: bool = False,
) -> jax.Array:
    """Add up the `measures` of all leaves, and devices, in float64, which no square of a float32 leaves, large or small.

    The other way, to look for the largest entry first and to compute in units of it, reads all leaves twice. (A TPU emulates
    float64 by pairs of float32, with the range of these: there, a norm above 1.8e19 is inf.)
    """
    dtype = working_dtype(leaves)
    with jax.enable_x64(True):
        total = _sum_over(measures([(x,) for x in leaves]), leaves, devices)
        total = jnp.sqrt(total) if root else total
        largest = float(jnp.finfo(dtype).max)
        # Not jnp.minimum: the derivative of that, taken outside of this context, asks for a float64 (JAX 0.11 and 0.12).
        return jnp.where(jnp.isfinite(total) & (total > largest), largest, total).astype(dtype)


# --- leaves: jitted, so that those of one shape are traced once ----------------------------------------------------------


@jax.jit
def _sum(x: jax.Array) -> jax.Array:
    return jnp.sum(x.astype(jnp.float64))


@jax.jit
def _sum_of_squares(x: jax.Array) -> jax.Array:
    return jnp.sum(jnp.square(x.astype(jnp.float64)))


@functools.partial(jax.jit, static_argnums=0)
def _sum_of_powers(p: float, unit: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.sum((x.astype(unit.dtype) / unit) ** p)


@jax.jit
def _sum_of_products(x: jax.Array, dx: jax.Array) -> jax.Array:
    return jnp.sum(x.astype(jnp.float64) * dx.astype(jnp.float64))


@jax.jit
def _max(x: jax.Array) -> jax.Array:
    return extremum(jnp.max, x, initial=0)  # of an empty leaf, too


_sums, _sums_of_squares, _sums_of_products = on_rows(_sum), on_rows(_sum_of_squares), on_rows(_sum_of_products)


def _floating(leaf: Any) -> jax.Array:
    x = jnp.asarray(leaf)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(float)


def _real_and_imaginary(x: jax.Array) -> Iterator[jax.Array]:
    yield from (x.real, x.imag) if jnp.iscomplexobj(x) else (x,)


# --- sums over leaves and devices ----------------------------------------------------------------------------------------


def _sum_over(terms: Sequence[jax.Array], leaves: Sequence[jax.Array], devices: _Devices) -> jax.Array:
    """Add up the terms that come of `leaves`, and those of the other devices."""
    if devices.axes:
        terms = [term / _copies(x, devices.axes) for term, x in zip(terms, leaves, strict=True)]
    # lax, as jnp's + takes four times as long to trace
    total = functools.reduce(lax.add, combined(terms, devices.split, lax.psum, lax.add))
    return lax.psum(total, devices.axes) if devices.axes else total


def _copies(x: jax.Array, axes: _Axes) -> int:
    """How many devices along `axes` hold this same part of `x`, as far as `shard_map` tells."""
    return devices_along(tuple(axis for axis in axes if _varies(lax.axis_index(axis), axis) and not _varies(x, axis)))


def _varies(x: jax.Array, axis: str) -> bool:
    """Whether devices along an axis hold different values, as the type says; without `check_vma` it never does."""
    return axis in varying_axes(x)
