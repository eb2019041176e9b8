"""Cross entropy: losses of a probability for each of several classes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.losses.arguments import Axis, at_label, kept, loss, one_hot, reduced_axes
from gradtx.losses.bounds import exp_excess
from gradtx.losses.softmax import cross_entropy, expected, log_normalizer, surprise


@loss("logits", "labels", broadcast=True, rows=True)
def softmax_cross_entropy(logits: Any, labels: Any, axis: Axis = -1, where: Any = None) -> jax.Array:
    """Return the cross entropy between labels and the softmax of logits.

        −Σᵢ yᵢ log pᵢ       p = exp(x) / Σ exp(x)

    A class of probability 0 costs nothing where the label is 0, too: a logit may be −inf.

    Args:
      logits: x, of shape (..., classes).
      labels: y, probabilities, of a shape that broadcasts to it.
      axis: that of the classes; several for all pairs of indices, None for all axes.
      where: bools in the shape of `logits`, with 1 for any axis, or in the shape of the result: which classes there are.
        Without any the loss is 0.

    Raises:
      TypeError: `logits` are not floats, or `where` not bools.
      ValueError: a shape does not match.

    References:
      Goodfellow et al., Deep Learning, 2016, section 6.2.2.3, https://www.deeplearningbook.org
    """
    return cross_entropy(logits, labels, axis, where)


@loss("logits", "labels", broadcast=True)
def safe_softmax_cross_entropy(logits: Any, labels: Any) -> jax.Array:
    """Return the cross entropy along the last axis, as `softmax_cross_entropy`, which here is as safe.

    Args:
      logits: of shape (..., classes); −inf for a class that cannot be.
      labels: probabilities, of a shape that broadcasts to it.

    Raises:
      TypeError: `logits` are not floats.
      ValueError: `labels` do not broadcast to the shape of `logits`.

    References:
      Goodfellow et al., Deep Learning, 2016, section 6.2.2.3, https://www.deeplearningbook.org
    """
    return cross_entropy(logits, labels, -1)


@loss("logits", rows=True)
def softmax_cross_entropy_with_integer_labels(
    logits: Any, labels: Any, axis: int | Sequence[int] = -1, where: Any = None
) -> jax.Array:
    """Return the cross entropy between class labels and the softmax of logits.

        −log pᵧ       p = exp(x) / Σ exp(x)

    Args:
      logits: x, of shape (..., classes).
      labels: y, integers in the shape of `logits` without the axis. Negative ones count from the last class; the loss of one
        out of range is NaN.
      axis: that of the classes; of several, in the order given, a label numbers the pairs of indices.
      where: bools in the shape of `logits`, with 1 for any axis, or in the shape of `labels`: which classes there are. The
        loss of a label that is not among them is 0.

    Raises:
      TypeError: `logits` are not floats, `labels` not integers, or `where` not bools.
      ValueError: a shape does not match.

    References:
      Goodfellow et al., Deep Learning, 2016, section 6.2.2.3, https://www.deeplearningbook.org
    """
    axes = reduced_axes(axis, logits.ndim)
    logits = _with_classes_last(logits, axes)
    where = None if where is None else _with_classes_last(where, axes)
    hot = one_hot(labels, "logits", logits.shape)
    highest, log_total = log_normalizer(logits, -1, where)
    costs = jnp.squeeze(highest, -1) - at_label(hot, kept(where, logits)) + jnp.squeeze(log_total, -1)
    return costs if where is None else jnp.where(jnp.any(hot & ~where, axis=-1), 0, costs)


@loss("logits", "labels", broadcast=True, epsilon=require.Range())
def poly_loss_cross_entropy(logits: Any, labels: Any, *, epsilon: Any = 2.0, axis: Axis = -1, where: Any = None) -> jax.Array:
    """Return PolyLoss: the cross entropy with another weight for the first term of its expansion in 1 − p.

        Σᵢ yᵢ (−log pᵢ + ε(1 − pᵢ))       p = exp(x) / Σ exp(x)

    Args:
      logits: x, of shape (..., classes).
      labels: y, probabilities, of a shape that broadcasts to it.
      epsilon: ε; 2 was found good for ImageNet, −1 for the detection of objects. A number, or an array in the shape of the
        result.
      axis: that of the classes; several for all pairs of indices, None for all axes.
      where: bools in the shape of `logits`, or with 1 for any axis: which classes there are. Without any the loss is 0.

    Raises:
      TypeError: `logits` are not floats, or `where` not bools.
      ValueError: a shape does not match.

    References:
      Leng et al., PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions, 2022,
      https://arxiv.org/abs/2204.12511
    """
    axes = reduced_axes(axis, logits.ndim)
    costs = surprise(logits, axis, where)
    missed = jnp.sum(kept(where, labels) * -jnp.expm1(-costs), axis=axes)
    beyond = jnp.sum(expected(kept(where, labels), exp_excess(-costs)), axis=axes)  # −log p − (1 − p)
    return beyond + (1 + epsilon) * missed


@loss("labels", alpha=require.Range(low=0, high=1))
def smooth_labels(labels: Any, alpha: Any, *, axis: Axis = -1, where: Any = None) -> jax.Array:
    """Return labels mixed with the uniform distribution, (1 − α)y + α/n, so that no logit has to grow forever.

    Args:
      labels: y, probabilities of shape (..., classes), such as one-hot labels.
      alpha: α, from 0 to 1: how much of it is uniform.
      axis: that of the classes; several for all pairs of indices, None for all axes.
      where: bools in the shape of `labels`, or with 1 for any axis: which n classes there are; the others get 0.

    Raises:
      TypeError: `labels` are not floats, or `where` not bools.
      ValueError: the shape of `where` does not match, or `alpha` is out of range.

    References:
      Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016, https://arxiv.org/abs/1512.00567
      Müller et al., When Does Label Smoothing Help?, 2019, https://arxiv.org/abs/1906.02629
    """
    axes = reduced_axes(axis, labels.ndim)
    ones = kept(where, jnp.ones_like(labels))
    classes = jnp.maximum(jnp.sum(ones, axis=axes, keepdims=True), 1)
    return kept(where, (1 - alpha) * labels + alpha / classes)


def _with_classes_last(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Move axes to the end and make one of them."""
    x = jnp.moveaxis(x, axes, range(-len(axes), 0))
    return x.reshape(*x.shape[: x.ndim - len(axes)], -1) if len(axes) > 1 else x
