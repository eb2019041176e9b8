"""Divergences of one distribution from another."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.errors import warn
from gradtx.losses.arguments import Axis, kept, loss, reduced_axes
from gradtx.losses.bounds import exp_excess, nonnegative


@loss("log_predictions", "targets", broadcast=True)
def kl_divergence(log_predictions: Any, targets: Any, axis: Axis = -1, where: Any = None) -> jax.Array:
    """Return the divergence of Kullback and Leibler, of targets p from predictions q.

        Σ p (log p − log q)       0 where p is 0

    Of probabilities that sum to 1 it is at least 0; a sum that is negative by no more than its rounding is returned as 0.

    Args:
      log_predictions: log q, of shape (..., n); −inf for a probability of 0.
      targets: p, not below 0, of a shape that broadcasts to it.
      axis: to sum over; several, or None for all.
      where: bools in the shape of `log_predictions`, or with 1 for any axis: what to sum.

    Raises:
      TypeError: `log_predictions` are not floats, or `where` not bools.
      ValueError: a shape does not match.

    References:
      Kullback and Leibler, On Information and Sufficiency, 1951, https://doi.org/10.1214/aoms/1177729694
    """
    log_q, p = kept(where, log_predictions), kept(where, targets)
    return _divergence(p, _safe_log(p), log_q, axis)


@loss("log_predictions", "log_targets", broadcast=True)
def kl_divergence_with_log_targets(log_predictions: Any, log_targets: Any, axis: Axis = -1, where: Any = None) -> jax.Array:
    """Return the divergence of Kullback and Leibler, `kl_divergence`, of targets given by their logarithms.

    Args:
      log_predictions: log q, of shape (..., n); −inf for a probability of 0.
      log_targets: log p, of a shape that broadcasts to it; −inf for a probability of 0.
      axis: to sum over; several, or None for all.
      where: bools in the shape of `log_predictions`, or with 1 for any axis: what to sum.

    Raises:
      TypeError: `log_predictions` are not floats, or `where` not bools.
      ValueError: a shape does not match.

    References:
      Kullback and Leibler, On Information and Sufficiency, 1951, https://doi.org/10.1214/aoms/1177729694
    """
    log_q, log_p = kept(where, log_predictions), kept(where, log_targets, -jnp.inf)
    return _divergence(jnp.exp(log_p), log_p, log_q, axis)


@loss("log_predictions", "targets", broadcast=True)
def generalized_kl_divergence(log_predictions: Any, targets: Any, axis: Axis = -1, where: Any = None) -> jax.Array:
    """Return the Kullback-Leibler divergence of measures, whose sums need not be 1.

        Σ p (log p − log q) + q − p

    It is the Bregman divergence of Σ p log p − p, and at least 0.

    Args:
      log_predictions: log q, of shape (..., n); −inf for 0.
      targets: p, not below 0, of a shape that broadcasts to it.
      axis: to sum over; several, or None for all.
      where: bools in the shape of `log_predictions`, or with 1 for any axis: what to sum.

    Raises:
      TypeError: `log_predictions` are not floats, or `where` not bools.
      ValueError: a shape does not match.

    References:
      Bregman, The Relaxation Method of Finding the Common Point of Convex Sets, 1967,
      https://doi.org/10.1016/0041-5553(67)90040-7
    """
    log_q, p = kept(where, log_predictions, -jnp.inf), kept(where, targets)
    ratio = log_q - _safe_log(p)
    is_near = (p > 0) & (jnp.abs(ratio) < 1)
    near = p * exp_excess(jnp.where(is_near, ratio, 0))  # what is left of q and p where they cancel
    far = _information(p, _safe_log(p), log_q) + jnp.exp(log_q) - p
    return jnp.sum(jnp.where(is_near, near, far), axis=reduced_axes(axis, p.ndim))


@loss("log_predictions", "targets", broadcast=True)
def convex_kl_divergence(log_predictions: Any, targets: Any, axis: Axis = -1, where: Any = None) -> jax.Array:
    """Return Σ p (log p − log q) + q − p, the deprecated name of `generalized_kl_divergence`: it is convex in p and q together.

    Args:
      log_predictions: log q, of shape (..., n); −inf for 0.
      targets: p, not below 0, of a shape that broadcasts to it.
      axis: to sum over; several, or None for all.
      where: bools in the shape of `log_predictions`, or with 1 for any axis: what to sum.

    Raises:
      TypeError: `log_predictions` are not floats, or `where` not bools.
      ValueError: a shape does not match.

    References:
      Boyd and Vandenberghe, Convex Optimization, 2004, page 90, https://stanford.edu/~boyd/cvxbook
    """
    warn("`convex_kl_divergence` is deprecated: use generalized_kl_divergence instead, which is the same.", DeprecationWarning)
    return generalized_kl_divergence(log_predictions, targets, axis, where)


def _divergence(p: jax.Array, log_p: jax.Array, log_q: jax.Array, axis: Axis) -> jax.Array:
    """Σ p (log p − log q): of probabilities at least 0, so what is negative by no more than its rounding is 0."""
    axes = reduced_axes(axis, p.ndim)
    sizes = p * (1 + jnp.abs(jnp.where(p == 0, 0, log_p)))
    rounding = 8 * jnp.finfo(p.dtype).eps * jnp.sum(jax.lax.stop_gradient(sizes), axis=axes)
    return nonnegative(jnp.sum(_information(p, log_p, log_q), axis=axes), rounding)


def _information(p: jax.Array, log_p: jax.Array, log_q: jax.Array) -> jax.Array:
    """p (log p − log q), and 0 where p is 0."""
    log_p = jnp.where(p == 0, 0, log_p)
    log_q = jnp.where((p == 0) & jnp.isneginf(log_q), 0, log_q)
    return p * (log_p - log_q)


def _safe_log(p: jax.Array) -> jax.Array:
    return jnp.log(jnp.where(p == 0, 1, p))
