"""Losses of a decision between two classes."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.losses.arguments import loss

FRACTION = require.Range(low=0, high=1)


@loss("logits", "labels", broadcast=True)
def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> jax.Array:
    """Return the cross entropy between labels and the sigmoids of logits.

        −y log σ(x) − (1 − y) log σ(−x)

    Several classes that do not exclude each other are as many decisions.

    Args:
      logits: x, of any shape, infinite ones too.
      labels: y, from 0 to 1, of a shape that broadcasts to it.

    Raises:
      TypeError: `logits` are not floats.
      ValueError: `labels` do not broadcast to the shape of `logits`.

    References:
      Goodfellow et al., Deep Learning, 2016, section 6.2.2.2, https://www.deeplearningbook.org
    """
    return _cross_entropy(logits, labels)


@loss("logits", "labels", broadcast=True, alpha=FRACTION, gamma=require.NONNEGATIVE)
def sigmoid_focal_loss(logits: Any, labels: Any, *, alpha: Any = None, gamma: Any = 2.0) -> jax.Array:
    """Return the focal loss: the cross entropy of a decision, the less of it the better the decision is.

        aᵧ·(1 − p)^γ·H      H   the `sigmoid_binary_cross_entropy`
                            p   the probability of the label: y σ(x) + (1 − y) σ(−x)
                            aᵧ  y α + (1 − y)(1 − α), or 1

    Args:
      logits: x, of any shape.
      labels: y, from 0 to 1, of a shape that broadcasts to it.
      alpha: α, from 0 to 1, the weight of class 1; None for equal weights of 1.
      gamma: γ, at least 0: how much less.

    Raises:
      TypeError: `logits` are not floats.
      ValueError: `labels` do not broadcast to the shape of `logits`, or `alpha` or `gamma` is out of range.

    References:
      Lin et al., Focal Loss for Dense Object Detection, 2017, https://arxiv.org/abs/1708.02002
    """
    missed = labels * jax.nn.sigmoid(-logits) + (1 - labels) * jax.nn.sigmoid(logits)
    # A power below 1 has no derivative at 0: for decisions better than this, the focus is a constant. The second derivative of
    # a power divides by the square, which is a number still.
    focus = jnp.maximum(missed, jnp.finfo(missed.dtype).tiny ** 0.5) ** gamma
    weight = 1 if alpha is None else labels * alpha + (1 - labels) * (1 - alpha)
    return weight * focus * _cross_entropy(logits, labels)


@loss("predictor_outputs", "targets", broadcast=True)
def hinge_loss(predictor_outputs: Any, targets: Any) -> jax.Array:
    """Return the hinge loss max(0, 1 − y f): 0 if the decision is right by a margin of 1.

    Args:
      predictor_outputs: f, of any shape.
      targets: y, each −1 or 1, of a shape that broadcasts to it.

    Raises:
      TypeError: `predictor_outputs` are not floats.
      ValueError: `targets` do not broadcast to the shape of `predictor_outputs`.

    References:
      Cortes and Vapnik, Support-Vector Networks, 1995, https://doi.org/10.1007/BF00994018
    """
    return jnp.maximum(0, 1 - predictor_outputs * targets)


@loss("predictor_outputs", "targets")
def perceptron_loss(predictor_outputs: Any, targets: Any) -> jax.Array:
    """Return the loss of the perceptron, max(0, −y f): 0 if the decision is right.

    Args:
      predictor_outputs: f, of any shape.
      targets: y, each −1 or 1, of the same shape.

    Raises:
      TypeError: `predictor_outputs` are not floats.
      ValueError: `targets` have another shape.

    References:
      Rosenblatt, The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain, 1958,
      https://doi.org/10.1037/h0042519
    """
    return jnp.maximum(0, -predictor_outputs * targets)


@loss("logits", "labels", broadcast=True)
def sparsemax_loss(logits: Any, labels: Any) -> jax.Array:
    """Return the Fenchel-Young loss of the sparse sigmoid, which is 0 where that is the label.

        (p − y)² + (p − y)(x + 1 − 2p)      p = min(max((x + 1)/2, 0), 1)

    For the label 0 that is 0 up to x = −1, (x + 1)²/4 up to x = 1, and x from there.

    Args:
      logits: x, of any shape.
      labels: y, from 0 to 1, of a shape that broadcasts to it.

    Raises:
      TypeError: `logits` are not floats.
      ValueError: `labels` do not broadcast to the shape of `logits`.

    References:
      Blondel et al., Learning with Fenchel-Young Losses, 2020, section 4.4, https://arxiv.org/abs/1901.02324
    """
    p = jnp.clip((logits + 1) / 2, 0, 1)
    return jnp.square(p - labels) + (p - labels) * (logits + 1 - 2 * p)


def _cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return _cost(labels, logits) + _cost(1 - labels, -logits)


def _cost(weight: jax.Array, logits: jax.Array) -> jax.Array:
    """−w log σ(x), and 0 for the weight 0."""
    certain = (weight == 0) & jnp.isneginf(logits)
    return weight * jax.nn.softplus(jnp.where(certain, 0, -logits))
