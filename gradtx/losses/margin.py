"""Losses of the margin by which the score of the right class is above the others."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.losses.arguments import at_label, loss, one_hot


@loss("scores")
def multiclass_hinge_loss(scores: Any, labels: Any) -> jax.Array:
    """Return the hinge loss of classes, maxᵢ(sᵢ + [i ≠ y]) − sᵧ: 0 if the right class leads by a margin of 1.

    Args:
      scores: s, of shape (..., classes).
      labels: y, integers of shape (...). The loss of one out of range is NaN.

    Raises:
      TypeError: `scores` are not floats, or `labels` not integers.
      ValueError: the shape of `labels` does not match.

    References:
      Crammer and Singer, On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines, 2001,
      https://www.jmlr.org/papers/v2/crammer01a.html
    """
    hot = one_hot(labels, "scores", scores.shape)
    return jnp.max(jnp.where(hot, scores, scores + 1), axis=-1) - at_label(hot, scores)


@loss("scores")
def multiclass_perceptron_loss(scores: Any, labels: Any) -> jax.Array:
    """Return the loss of the perceptron for classes, maxᵢ sᵢ − sᵧ: 0 if no other class leads.

    Args:
      scores: s, of shape (..., classes).
      labels: y, integers of shape (...). The loss of one out of range is NaN.

    Raises:
      TypeError: `scores` are not floats, or `labels` not integers.
      ValueError: the shape of `labels` does not match.

    References:
      Collins, Discriminative Training Methods for Hidden Markov Models: Theory and Experiments with Perceptron Algorithms,
      2002, https://aclanthology.org/W02-1001
    """
    hot = one_hot(labels, "scores", scores.shape)
    return jnp.max(scores, axis=-1) - at_label(hot, scores)


@loss("scores")
def multiclass_sparsemax_loss(scores: Any, labels: Any) -> jax.Array:
    """Return the Fenchel-Young loss of the sparsemax p, which is 0 where that is sure of the right class.

        ⟨p, s⟩ − sᵧ + (1 − ‖p‖²)/2 = ‖p − eᵧ‖²/2 + max(τ − sᵧ, 0)      p = max(s − τ, 0), τ such that the sum is 1

    Args:
      scores: s, of shape (..., classes).
      labels: y, integers of shape (...). The loss of one out of range is NaN.

    Raises:
      TypeError: `scores` are not floats, or `labels` not integers.
      ValueError: the shape of `labels` does not match.

    References:
      Martins and Astudillo, From Softmax to Sparsemax: A Sparse Model of Attention and Multi-Label Classification, 2016,
      https://arxiv.org/abs/1602.02068
    """
    hot = one_hot(labels, "scores", scores.shape)
    # From the highest score down: what is in the support of p is then above −1, however large the scores.
    scores = scores - jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))
    p, support, threshold = _sparsemax(scores)
    below = at_label(hot, jnp.where(support, 0, threshold - scores))
    return jnp.sum(jnp.square(p - hot.astype(p.dtype)), axis=-1) / 2 + below


def _sparsemax(scores: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The projection onto the probabilities, where it is not 0, and τ."""
    falling = -jnp.sort(-jax.lax.stop_gradient(scores), axis=-1)
    ranks = jnp.arange(1, scores.shape[-1] + 1, dtype=scores.dtype).reshape((1,) * (scores.ndim - 1) + (-1,))
    in_support = 1 + ranks * falling > jnp.cumsum(falling, axis=-1)
    least = jnp.min(jnp.where(in_support, falling, jnp.inf), axis=-1, keepdims=True)
    # The support is now given, and τ is a mean over it: so its derivative is the right one, also of higher order.
    support = scores >= least
    excess = jnp.sum(jnp.where(support, scores, 0), axis=-1, keepdims=True) - 1
    threshold = excess / jnp.sum(support, axis=-1, keepdims=True, dtype=scores.dtype)
    return jnp.where(support, scores - threshold, 0), support, threshold
