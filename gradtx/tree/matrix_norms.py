"""Norms of matrices, and factors that make matrices as long as others."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.numerics import abs_sq, clipped_to_finite, safe_sqrt
from gradtx.tree.layout import all_gathered
from gradtx.tree.like import full_of_shape


def norms(x: jax.Array, axes: tuple[int, ...] = (-2, -1)) -> jax.Array:
    """Return √Σ|x|² along some axes, which stay with size 1, in units of the largest entry, whose square may be too large."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axes, keepdims=True, initial=0))
    unit = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    return unit * safe_sqrt(jnp.sum(abs_sq(x / unit.astype(x.dtype)), axis=axes, keepdims=True))


def no_norms(matrix: jax.Array) -> jax.Array:
    """Return zeros for the norms of matrices."""
    whole = all_gathered(jnp.real(matrix))
    return full_of_shape(whole, (*whole.shape[:-2], 1, 1))


def ratio_of_norms(x: jax.Array, y: jax.Array, axes: tuple[int, ...], eps: Any) -> jax.Array:
    """Return ‖x‖ / (‖y‖ + eps), with norms along some axes, which stay; it is finite, and 0 where nothing is divided by."""
    divisor = norms(y, axes) + eps
    return jnp.where(divisor == 0, 0, clipped_to_finite(norms(x, axes) / jnp.where(divisor == 0, 1, divisor)))


def kept_from_growing(norm: jax.Array, last: jax.Array, max_growth: Any, eps: Any) -> tuple[jax.Array, jax.Array]:
    """Return the factor that keeps a norm below `max_growth` times the last one, and the norm that it leaves.

    After a norm of 0, as at first, any is free.
    """
    norm, most = clipped_to_finite(norm), max_growth * (last + eps)
    factor = jnp.where((last > 0) & (norm > most), most / jnp.where(norm > 0, norm, 1), 1)
    return factor, norm * factor


def times(x: jax.Array, factor: jax.Array) -> jax.Array:
    """Return an array, real or complex, times real factors."""
    return x * factor.astype(x.dtype)
