"""SM3, AdaGrad in little memory (Anil et al. 2019)."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
    tells,
)
from gradtx.numerics import bounded_square, clipped_to_finite, safe_sqrt, squarable
from gradtx.require import DECAY, Range
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.tree.along import max_along, sum_along

_UP_TO_ONE = Range(low=0, high=1)


class ScaleBySM3State(NamedTuple):
    """For each leaf a vector for each axis with the greatest sums of squares, and the mean of the updates."""

    mu: Updates
    nu: Updates


@factory(b2=_UP_TO_ONE)
def scale_by_sm3(b1: float = 0.9, b2: float = 1.0, eps: float = 1e-8) -> GradientTransformation:
    """SM3's rescaling: the gradient over a bound of AdaGrad's root of a sum, kept in one vector for each axis.

        S = min over the axes of μᵣ + |g|²
        μᵣ ← max of S over all other axes, for each axis r
        m ← b1·m + (1−b1)·g / √(S + eps)
        u = m

    With b2 < 1 the sum becomes a mean, S = b2·min μᵣ + (1−b2)·|g|². A scalar keeps its own sum.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      b1: decay of the mean of the updates.
      b2: decay of the squares, 1 for a sum.
      eps: added inside of the root.

    References:
      Anil et al., Memory-Efficient Adaptive Optimization, 2019, https://arxiv.org/abs/1901.11150
    """

    @tree.lift(like="g mu m", same_shapes=False)
    def rule(g, mu, m):
        weight = jnp.where(b2 == 1, 1.0, 1 - b2)  # b2 may be traced
        square = clipped_to_finite(b2 * _least(mu, g.ndim) + weight * bounded_square(g))
        root = safe_sqrt(square + eps)
        # Not 0/0 for a coordinate that never had a gradient.
        m = b1 * m + (1 - b1) * squarable(g) / jnp.where(root == 0, 1, root)
        return m, _greatest(square), m

    def init(params: Params) -> ScaleBySM3State:
        nu = tree.moment_like(params)
        return ScaleBySM3State(tree.map_leaves(_covers, nu), nu)

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)})
    def update(updates: Updates, state: ScaleBySM3State, params: Params | None = None):
        updates, mu, nu = rule(updates, state.mu, state.nu)
        return updates, ScaleBySM3State(mu, nu)

    return GradientTransformation(init, update)


def _covers(zero: jax.Array) -> tuple[jax.Array, ...]:
    """A vector for each axis; a scalar is covered by itself. Sums, so that shards of the axis stay."""
    if zero.ndim < 2:
        return (jnp.copy(zero.real),)
    return tuple(sum_along(zero.real, others) for others in _other_axes(zero.ndim))


def _other_axes(ndim: int) -> list[tuple[int, ...]]:
    """For each axis the others."""
    return [tuple(other for other in range(ndim) if other != axis) for axis in range(ndim)]


def _least(mu: tuple[Any, ...], ndim: int) -> jax.Array:
    """The least of the vectors of all axes, at each place."""
    if ndim == 0:
        return mu[0]
    spread = [jnp.expand_dims(vector, others) for vector, others in zip(mu, _other_axes(ndim), strict=True)]
    least = spread[0]
    for each in spread[1:]:
        least = jnp.minimum(least, each)
    return least


def _greatest(square: jax.Array) -> tuple[jax.Array, ...]:
    """The greatest number in each slice along each axis."""
    if square.ndim == 0:
        return (square,)
    initial = 0 if math.prod(square.shape) == 0 else None
    # The sign of NaN is NaN, and so is the sum: compiled for CPUs a maximum may lose it.
    is_nan = jnp.isnan(sum_along(jnp.sign(square)))
    greatest = (max_along(square, others, initial=initial) for others in _other_axes(square.ndim))
    return tuple(jnp.where(is_nan, jnp.nan, each) for each in greatest)


@factory(momentum=DECAY)
def sm3(learning_rate: ScalarOrSchedule, momentum: float = 0.9) -> GradientTransformationExtraArgs:
    """SM3: AdaGrad with momentum that keeps one vector for each axis instead of a sum for each number.

        m ← momentum·m + (1−momentum)·g / √(S + 1e-8)        S of `scale_by_sm3`
        Δp = −η·m

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      momentum: decay of the mean of the updates, b1 of `scale_by_sm3`.

    References:
      Anil et al., Memory-Efficient Adaptive Optimization, 2019, https://arxiv.org/abs/1901.11150
    """
    return chain(scale_by_sm3(momentum), scale_by_learning_rate(learning_rate))
