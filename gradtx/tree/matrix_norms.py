"""Norms of matrices, and matrices that are made as long as others."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.numerics import abs_sq, safe_sqrt
from gradtx.tree.layout import all_gathered
from gradtx.tree.like import full_of_shape


def norms(x: jax.Array, axes: tuple[int, ...] = (-2, -1)) -> jax.Array:
    """Return √Σ|x|² along some axes, which stay with size 1, in units of the largest entry, whose square may be too large."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axes, keepdims=True, initial=0))
    unit = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    return unit * safe_sqrt(jnp.sum(abs_sq(x / unit.astype(x.dtype)), axis=axes, keepdims=True))


def as_long_as(step: jax.Array, g: jax.Array, low: jax.Array, axes: tuple[int, ...], eps: Any) -> jax.Array:
    """Return g·‖step‖ / (‖low‖ + eps), with norms along some axes; 0 where nothing is divided by."""
    seen = norms(low, axes) + eps
    # Two factors, each of which is finite: the ratio of the norms may not be.
    unit = jnp.where(seen > 0, g / jnp.where(seen > 0, seen, 1).astype(g.dtype), 0)
    return times(unit, norms(step, axes))


def no_norms(matrix: jax.Array) -> jax.Array:
    """Return zeros for the norms of matrices."""
    whole = all_gathered(jnp.real(matrix))
    return full_of_shape(whole, (*whole.shape[:-2], 1, 1))


def growing_slowly(u: jax.Array, last: jax.Array, max_growth: Any, eps: Any) -> tuple[jax.Array, jax.Array]:
    """Return matrices shortened to `max_growth` times the norms of the last ones, and their norms.

    After a last norm of 0, as at first, a matrix stays as it is.
    """
    norm = norms(u)
    most = max_growth * (last + eps)
    factor = jnp.where((last > 0) & (norm > most), most / jnp.where(norm > 0, norm, 1), 1)
    return times(u, factor), norm * factor


def times(x: jax.Array, factor: jax.Array) -> jax.Array:
    """Return an array, real or complex, times real factors."""
    return x * factor.astype(x.dtype)
