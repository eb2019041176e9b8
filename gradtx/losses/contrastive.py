"""Losses of embeddings: what belongs together shall be close."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.errors import unnamed
from gradtx.losses.arguments import Axis, loss, reduced_axes
from gradtx.losses.similarity import unit
from gradtx.losses.softmax import log_normalizer


@loss("embeddings", temperature=require.POSITIVE)
def ntxent(embeddings: Any, labels: Any, temperature: Any = 0.07) -> jax.Array:
    """Return the NT-Xent loss, the normalized, temperature-scaled cross entropy: a mean over all pairs with one label.

        −log exp(sᵢⱼ) / (exp(sᵢⱼ) + Σₖ exp(sᵢₖ))       s = cos(eᵢ, eⱼ) / τ, k over those with another label than i

    Without any pair it is 0. An embedding of zeros is similar to nothing.

    Args:
      embeddings: e, of shape (batch, features).
      labels: of shape (batch,), of any dtype.
      temperature: τ, above 0.

    Raises:
      TypeError: `embeddings` are not floats.
      ValueError: a shape does not match, or `temperature` is not above 0.

    References:
      Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020,
      https://arxiv.org/abs/2002.05709
    """
    labels = jnp.asarray(labels)
    if embeddings.ndim != 2:
        raise unnamed(ValueError, f"embeddings must be of shape (batch, features), got {embeddings.shape}.")
    if labels.shape != embeddings.shape[:1]:
        raise unnamed(ValueError, f"labels must have the shape {embeddings.shape[:1]}, one an embedding; got {labels.shape}.")
    vectors = unit(embeddings)
    scores = jnp.matmul(vectors, vectors.T, precision=jax.lax.Precision.HIGHEST) / temperature
    alike = labels[:, None] == labels[None, :]
    highest, log_total = log_normalizer(scores, -1, ~alike)
    costs = jnp.where(jnp.all(alike, axis=-1, keepdims=True), 0, jax.nn.softplus(highest + log_total - scores))
    pairs = alike & ~jnp.eye(len(labels), dtype=bool)
    return jnp.sum(jnp.where(pairs, costs, 0)) / jnp.maximum(jnp.sum(pairs, dtype=costs.dtype), 1)


@loss(
    "anchors",
    "positives",
    "negatives",
    broadcast=True,
    norm_degree=require.Range(low=1, infinite=True),
    margin=require.Range(),
    eps=require.NONNEGATIVE,
)
def triplet_margin_loss(
    anchors: Any, positives: Any, negatives: Any, axis: Axis = -1, norm_degree: Any = 2, margin: Any = 1.0, eps: Any = 1e-6
) -> jax.Array:
    """Return the triplet loss: how much the positive is not closer to the anchor than the negative, by a margin.

        max(0, d(a, p) − d(a, n) + m)       d(x, y) = (Σ|xᵢ − yᵢ|ᵏ + ε)^(1/k)

    Args:
      anchors: a, of shape (..., features).
      positives: p, of a shape that broadcasts to it.
      negatives: n, of a shape that broadcasts to it.
      axis: that of the features; several, or None for all.
      norm_degree: k, at least 1; inf for the largest |xᵢ − yᵢ|.
      margin: m.
      eps: ε, at least 0; with 0, equal vectors have a distance with gradient 0.

    Raises:
      TypeError: `anchors` are not floats.
      ValueError: a shape does not match, or a hyperparameter is out of range.

    References:
      Balntas et al., Learning Local Feature Descriptors with Triplets and Shallow Convolutional Neural Networks, 2016,
      https://bmva-archive.org.uk/bmvc/2016/papers/paper119
    """
    axes = reduced_axes(axis, anchors.ndim)
    near, far = (_distance(anchors - other, axes, norm_degree, eps) for other in (positives, negatives))
    return jnp.maximum(near - far + margin, 0)


def _distance(x: jax.Array, axes: tuple[int, ...], degree: Any, eps: Any) -> jax.Array:
    """(Σ|xᵢ|ᵏ + ε)^(1/k), in units of the largest entry where that is above 1, so that no power overflows."""
    if isinstance(degree, float) and math.isinf(degree):
        return jnp.max(jnp.abs(x), axis=axes, initial=0)
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axes, keepdims=True, initial=1))
    powers = jnp.sum(_power(x / scale, degree), axis=axes)
    scale = jnp.squeeze(scale, axes)
    total = powers + eps / scale**degree
    return scale * jnp.where(total == 0, 0, jnp.where(total == 0, 1, total) ** (1 / degree))


def _power(x: jax.Array, degree: Any) -> jax.Array:
    """|x|ᵏ, whose derivatives at 0 are those of x² for k = 2, and 0 for other powers, also where they are infinite."""
    if isinstance(degree, float) and degree == 2:
        return jnp.square(x)
    return jnp.where(x == 0, 0, jnp.abs(jnp.where(x == 0, 1, x)) ** degree)
