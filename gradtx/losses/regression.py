"""Losses of numbers."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.losses.arguments import loss, shaped


@loss("predictions", "targets")
def squared_error(predictions: Any, targets: Any = None) -> jax.Array:
    """Return the square of the error, e² with e = x − y.

    Args:
      predictions: x, of any shape.
      targets: y, of the same shape; None for 0.

    Raises:
      TypeError: `predictions` are not floats.
      ValueError: `targets` have another shape.

    References:
      https://en.wikipedia.org/wiki/Mean_squared_error (which is the mean of this)
    """
    return jnp.square(_error(predictions, targets))


@loss("predictions", "targets")
def l2_loss(predictions: Any, targets: Any = None) -> jax.Array:
    """Return half the square of the error, e²/2 with e = x − y, whose gradient is e.

    Args:
      predictions: x, of any shape.
      targets: y, of the same shape; None for 0.

    Raises:
      TypeError: `predictions` are not floats.
      ValueError: `targets` have another shape.

    References:
      Bishop, Pattern Recognition and Machine Learning, 2006, section 3.1.1
    """
    return 0.5 * jnp.square(_error(predictions, targets))


@loss("predictions", "targets", broadcast=True, delta=require.POSITIVE)
def huber_loss(predictions: Any, targets: Any = None, *, delta: Any = 1.0) -> jax.Array:
    """Return the Huber loss: e²/2 for small errors e = x − y, and a straight line for those beyond ±δ.

        e²/2           |e| ≤ δ
        δ(|e| − δ/2)   otherwise

    Its gradient is that of `l2_loss`, clipped to ±δ.

    Args:
      predictions: x, of any shape.
      targets: y, of a shape that broadcasts to it; None for 0.
      delta: δ, above 0; a number, or an array that broadcasts to the shape.

    Raises:
      TypeError: `predictions` are not floats.
      ValueError: `targets` or `delta` do not broadcast to the shape of `predictions`, or `delta` is not above 0.

    References:
      Huber, Robust Estimation of a Location Parameter, 1964, https://doi.org/10.1214/aoms/1177703732
    """
    size = jnp.abs(_error(predictions, targets))
    delta = shaped("delta", jnp.asarray(delta, size.dtype), "predictions", size.shape, broadcast=True)
    within = jnp.minimum(size, delta)
    return 0.5 * jnp.square(within) + delta * (size - within)


@loss("predictions", "targets", broadcast=True)
def log_cosh(predictions: Any, targets: Any = None) -> jax.Array:
    """Return log(cosh(e)) of the error e = x − y: about e²/2 for small errors and |e| − log 2 for large ones.

    Exact to rounding for both.

    Args:
      predictions: x, of any shape.
      targets: y, of a shape that broadcasts to it; None for 0.

    Raises:
      TypeError: `predictions` are not floats.
      ValueError: `targets` do not broadcast to the shape of `predictions`.

    References:
      Chen et al., Log Hyperbolic Cosine Loss Improves Variational Auto-Encoder, 2019, https://openreview.net/forum?id=rkglvsC9Ym
    """
    return _log_cosh(_error(predictions, targets))


@jax.custom_jvp
def _log_cosh(e: jax.Array) -> jax.Array:
    size = jnp.abs(e)
    near = jnp.log1p(2 * jnp.square(jnp.sinh(jnp.minimum(size, 1) / 2)))  # cosh(e) − 1 = 2 sinh²(e/2)
    far = size + jnp.log1p(jnp.exp(-2 * size)) - math.log(2)
    return jnp.where(size < 1, near, far)


@_log_cosh.defjvp
def _log_cosh_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return _log_cosh(primals[0]), jnp.tanh(primals[0]) * tangents[0]


def _error(predictions: jax.Array, targets: jax.Array | None) -> jax.Array:
    return predictions if targets is None else predictions - targets
