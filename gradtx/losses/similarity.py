"""Losses of the angle between vectors."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.losses.arguments import Axis, kept, loss
from gradtx.losses.bounds import nonnegative
from gradtx.numerics import safe_sqrt


@loss("predictions", "targets", broadcast=True, epsilon=require.NONNEGATIVE)
def cosine_similarity(predictions: Any, targets: Any, *, epsilon: Any = 0.0, axis: Axis = -1, where: Any = None) -> jax.Array:
    """Return the cosine of the angle between vectors.

        Σ xᵢyᵢ / (max(‖x‖, ε)·max(‖y‖, ε))

    It is 0, with gradient 0, for a vector of zeros if ε is 0. No square overflows or vanishes.

    Args:
      predictions: x, of shape (..., n).
      targets: y, of a shape that broadcasts to it.
      epsilon: ε, the least norm to divide by, at least 0.
      axis: that of the vectors; several for vectors of all their entries, None for all.
      where: bools in the shape of `predictions`, or with 1 for any axis: which entries count; of none, the similarity is 0.

    Raises:
      TypeError: `predictions` are not floats, or `where` not bools.
      ValueError: a shape does not match, or `epsilon` is below 0.

    References:
      https://en.wikipedia.org/wiki/Cosine_similarity
    """
    x, y = (unit(kept(where, v), axis, epsilon) for v in (predictions, targets))
    return jnp.sum(x * y, axis=_axes(axis))


@loss("predictions", "targets", broadcast=True, epsilon=require.NONNEGATIVE)
def cosine_distance(predictions: Any, targets: Any, *, epsilon: Any = 0.0, axis: Axis = -1, where: Any = None) -> jax.Array:
    """Return 1 − cos of the angle between vectors, with the cosine of `cosine_similarity`.

    Args:
      predictions: vectors of shape (..., n).
      targets: vectors of a shape that broadcasts to it.
      epsilon: the least norm to divide by, at least 0.
      axis: that of the vectors; several for vectors of all their entries, None for all.
      where: bools in the shape of `predictions`, or with 1 for any axis: which entries count; of none, the distance is 0.

    Raises:
      TypeError: `predictions` are not floats, or `where` not bools.
      ValueError: a shape does not match, or `epsilon` is below 0.

    References:
      https://en.wikipedia.org/wiki/Cosine_similarity
    """
    x, y = (_normalized(kept(where, v), axis, epsilon) for v in (predictions, targets))
    axes = _axes(axis)
    shorter = nonnegative(1 - jnp.sum(x.vector * y.vector, axis=axes))
    of_units = jnp.sum(jnp.square(x.vector - y.vector), axis=axes) / 2  # which does not cancel
    distance = jnp.where(jnp.all(x.is_unit & y.is_unit, axis=axes), of_units, shorter)
    return distance if where is None else jnp.where(jnp.any(where, axis=axes), distance, 0)


def unit(x: jax.Array, axis: Axis = -1, epsilon: Any = 0.0) -> jax.Array:
    """Return x / max(‖x‖, ε); 0, with gradient 0, for 0 if ε is 0."""
    return _normalized(x, axis, epsilon).vector


class _Normalized(NamedTuple):
    vector: jax.Array
    is_unit: jax.Array  # not shorter than ε, nor 0; of size 1 along the axis


def _normalized(x: jax.Array, axis: Axis, epsilon: Any) -> _Normalized:
    axis = _axes(axis)
    # In units of the largest entry, whose derivative drops out: what is returned does not depend on it.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=True, initial=0))
    largest = jnp.where(largest == 0, 1, largest)
    x = x / largest
    norm = safe_sqrt(jnp.sum(jnp.square(x), axis=axis, keepdims=True))
    divisor = jnp.maximum(norm, epsilon / largest)
    vector = jnp.where(divisor == 0, 0, x / jnp.where(divisor == 0, 1, divisor))
    return _Normalized(vector, (norm > 0) & (norm >= epsilon / largest))


def _axes(axis: Axis) -> int | tuple[int, ...] | None:
    return axis if axis is None or isinstance(axis, int) else tuple(axis)
