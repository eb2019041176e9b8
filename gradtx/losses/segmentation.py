"""Losses of the overlap of predicted and true regions."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.errors import unnamed
from gradtx.losses.arguments import loss, reduced_axes

_REDUCTIONS = {"mean": jnp.mean, "sum": jnp.sum}


@loss(
    "predictions",
    "targets",
    one_class=True,
    class_weights=require.Range(),
    smooth=require.NONNEGATIVE,
    alpha=require.NONNEGATIVE,
    beta=require.NONNEGATIVE,
)
def dice_loss(
    predictions: Any,
    targets: Any,
    *,
    class_weights: Any = None,
    smooth: Any = 1.0,
    alpha: Any = 0.5,
    beta: Any = 0.5,
    apply_softmax: bool = True,
    reduction: str = "mean",
    ignore_background: bool = False,
    axis: int | Sequence[int] | None = None,
) -> jax.Array:
    """Return how little each predicted region overlaps the true one, by the coefficient of Dice (or the index of Tversky).

        1 − (I + ε) / (I + α(P − I) + β(T − I) + ε)       I = Σ pᵢtᵢ, P = Σ pᵢ, T = Σ tᵢ, for each class

    Where ε is 0 and both regions are empty, it is 0.

    Args:
      predictions: logits of shape (batch, ..., classes); with one class, of its sigmoid.
      targets: t, one-hot or probabilities, of the same shape. Of one class, either may come without the last axis.
      class_weights: factors of the classes, of shape (classes,).
      smooth: ε, at least 0.
      alpha: α, at least 0: the weight of false positives.
      beta: β, at least 0: that of false negatives.
      apply_softmax: whether p is the softmax of the predictions, or they themselves.
      reduction: "mean" or "sum" over classes, or "none".
      ignore_background: whether class 0 is left out, unless it is the only one.
      axis: the axes that make the region, not the last; None for all but the first and the last.

    Returns:
      Losses of shape (batch,), or (batch, classes) without reduction.

    Raises:
      TypeError: `predictions` are not floats.
      ValueError: a shape does not match, an axis is that of the classes, `reduction` is another word, or a number is out of
        range.

    References:
      Milletari et al., V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation, 2016,
      https://arxiv.org/abs/1606.04797
      Salehi et al., Tversky Loss Function for Image Segmentation Using 3D Fully Convolutional Deep Networks, 2017,
      https://arxiv.org/abs/1706.05721
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'dice_loss: reduction must be "mean", "sum" or "none", got {reduction!r}.')
    p = _probabilities(predictions, apply=apply_softmax)
    losses = _dice(p, targets, smooth, alpha, beta, _region(axis, p.ndim))
    if class_weights is not None:
        losses = losses * _of_classes(class_weights, losses)
    losses = _foreground(losses, ignore=ignore_background)
    return losses if reduction == "none" else _REDUCTIONS[reduction](losses, axis=-1)


@loss("predictions", "targets", smooth=require.NONNEGATIVE)
def multiclass_generalized_dice_loss(
    predictions: Any,
    targets: Any,
    *,
    smooth: Any = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
) -> jax.Array:
    """Return the mean of `dice_loss` over batch and classes, with the more weight for a class the rarer it is.

        Σ wₖ·diceₖ / Σ wₖ       wₖ = 1/Tₖ², with Tₖ the sum of the targets of class k over the batch

    A class that is absent has the weight of the rarest that is present.

    Args:
      predictions: logits of shape (batch, ..., classes).
      targets: one-hot or probabilities, of the same shape.
      smooth: ε of `dice_loss`, at least 0.
      apply_softmax: whether probabilities are the softmax of the predictions, or they themselves.
      ignore_background: whether class 0 is left out, unless it is the only one.

    Returns:
      A scalar.

    Raises:
      TypeError: `predictions` are not floats.
      ValueError: a shape does not match, or `smooth` is out of range.

    References:
      Sudre et al., Generalised Dice Overlap as a Deep Learning Loss Function for Highly Unbalanced Segmentations, 2017,
      https://arxiv.org/abs/1707.03237 (where weights are within the coefficient)
    """
    p = _probabilities(predictions, apply=apply_softmax)
    losses = _foreground(_dice(p, targets, smooth, 0.5, 0.5, _region(None, p.ndim)), ignore=ignore_background)
    volumes = _foreground(jnp.sum(targets, axis=tuple(range(targets.ndim - 1))), ignore=ignore_background)
    present = volumes > 0
    rarity = jnp.where(present, 1 / jnp.where(present, volumes, 1), 0)
    rarest = jnp.max(rarity)
    weights = jnp.where(present, jnp.square(rarity / jnp.where(rarest > 0, rarest, 1)), 1)
    losses = jnp.sum(losses * _of_classes(weights / jnp.sum(weights), losses), axis=-1)
    return jnp.sum(losses) / max(losses.size, 1)


@loss("predictions", "targets", smooth=require.NONNEGATIVE)
def binary_dice_loss(predictions: Any, targets: Any, *, smooth: Any = 1.0, apply_sigmoid: bool = True) -> jax.Array:
    """Return `dice_loss` of one region.

    Args:
      predictions: logits of shape (batch, ...) or (batch, ..., 1).
      targets: 0 or 1, or probabilities, of the same shape.
      smooth: ε of `dice_loss`, at least 0.
      apply_sigmoid: whether probabilities are the sigmoid of the predictions, or they themselves.

    Returns:
      Losses of shape (batch,).

    Raises:
      TypeError: `predictions` are not floats.
      ValueError: `targets` have another shape, or `smooth` is out of range.

    References:
      Milletari et al., 2016, https://arxiv.org/abs/1606.04797
    """
    if predictions.shape[-1:] != (1,):
        predictions, targets = predictions[..., None], targets[..., None]
    p = _probabilities(predictions, apply=apply_sigmoid)
    return jnp.squeeze(_dice(p, targets, smooth, 0.5, 0.5, _region(None, p.ndim)), -1)


def _probabilities(predictions: jax.Array, *, apply: bool) -> jax.Array:
    if predictions.ndim == 0:
        raise unnamed(ValueError, "predictions must have an axis of classes, got a scalar.")
    if not apply:
        return predictions
    return jax.nn.sigmoid(predictions) if predictions.shape[-1] == 1 else jax.nn.softmax(predictions)


def _region(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """The axes to sum over."""
    axes = tuple(range(1, ndim - 1)) if axis is None else reduced_axes(axis, ndim)
    if ndim - 1 in axes:
        raise unnamed(ValueError, f"axis must not be the last, which is that of the classes; got {axis}.")
    return axes


def _dice(p: jax.Array, t: jax.Array, smooth: Any, alpha: Any, beta: Any, axes: tuple[int, ...]) -> jax.Array:
    common, false_positive, false_negative = (jnp.sum(x, axis=axes) for x in (p * t, p * (1 - t), t * (1 - p)))
    wrong = alpha * false_positive + beta * false_negative
    total = common + wrong + smooth
    return wrong / jnp.where(total == 0, 1, total)


def _foreground(of_classes: jax.Array, *, ignore: bool) -> jax.Array:
    return of_classes[..., 1:] if ignore and of_classes.shape[-1] > 1 else of_classes


def _of_classes(weights: jax.Array, losses: jax.Array) -> jax.Array:
    """Weights of shape (classes,), in the rank of the losses."""
    weights = jnp.asarray(weights, losses.dtype)
    if weights.shape != losses.shape[-1:]:
        raise unnamed(ValueError, f"class_weights must have the shape {losses.shape[-1:]}, got {weights.shape}.")
    return weights.reshape((1,) * (losses.ndim - 1) + (-1,))
