"""Reductions of one array along some of its axes, over all devices that have a part of its leaf; see `scopes`."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.numerics import largest_along
from gradtx.tree.scopes import MeshAxes, devices_along, largest_of_devices, place_of_leaf

Axes: TypeAlias = int | Sequence[int] | None


def sum_along(x: jax.Array, axis: Axes = None, keepdims: bool = False, *, of: Sequence[int] | None = None) -> jax.Array:
    """Return the sums along some axes of an array.

    Args:
      x: what a rule sees of a leaf, or made of it.
      axis: along which; None for all.
      keepdims: whether these axes stay, of length 1.
      of: of an array that has not all axes of the leaf, which ones it has.
    """
    chosen, names = _chosen(x, axis, of)
    total = jnp.sum(x, axis=chosen, keepdims=keepdims)
    return lax.psum(total, names) if names else total


def mean_along(x: jax.Array, axis: Axes = None, keepdims: bool = False, *, of: Sequence[int] | None = None) -> jax.Array:
    """Return the means along some axes, whose sums might overflow, and 0 where there are no entries; see `sum_along`."""
    entries = max(1, size_along(x, axis, of=of))
    unit = 2.0 ** (entries - 1).bit_length()
    return sum_along(x * (1 / unit), axis, keepdims, of=of) * (unit / entries)


def max_along(
    x: jax.Array, axis: Axes = None, keepdims: bool = False, *, initial: float | None = None, of: Sequence[int] | None = None
) -> jax.Array:
    """Return the maxima along some axes of an array; see `sum_along`."""
    chosen, names = _chosen(x, axis, of)
    of_array = largest_along if jnp.issubdtype(x.dtype, jnp.floating) else jnp.max
    largest = of_array(x, chosen, keepdims=keepdims, initial=initial)
    return largest_of_devices(largest, names) if names else largest


def size_along(x: jax.Array, axis: Axes = None, *, of: Sequence[int] | None = None) -> int:
    """Return how many entries there are along some axes of an array; see `sum_along`."""
    chosen, names = _chosen(x, axis, of)
    return math.prod(x.shape[axis] for axis in chosen) * devices_along(names)


def _chosen(x: jax.Array, axis: Axes, of: Sequence[int] | None) -> tuple[tuple[int, ...], MeshAxes]:
    """The axes of an array that are meant, and those of the mesh along which they are split."""
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    chosen = tuple(each % x.ndim for each in axes)
    place = place_of_leaf()
    return chosen, () if place.split == () else place.mesh_axes([of[each] if of else each for each in chosen])
