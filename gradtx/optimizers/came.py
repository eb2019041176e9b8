"""CAME (Luo et al. 2023): Adafactor with momentum, whose steps are shorter where the momentum is not to be trusted."""

from typing import NamedTuple

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
from gradtx.numerics import abs_sq, bounded_square, safe_sqrt, squarable
from gradtx.require import LIMIT, NONNEGATIVE
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.along import mean_along, size_along, sum_along
from gradtx.tree.masks import Mask


class ScaleByCameState(NamedTuple):
    """Mean of the steps; means of the squares and of the residuals, by rows and columns or each. What is not used is [0]."""

    mu: Updates
    v_row: Updates
    v_col: Updates
    v: Updates
    residual_row: Updates
    residual_col: Updates


@factory(eps=NONNEGATIVE, eps_residual=NONNEGATIVE, clipping_threshold=LIMIT)
def scale_by_came(
    b1: float = 0.9,
    b2: float = 0.999,
    b3: float = 0.9999,
    eps: float = 1e-30,
    eps_residual: float = 1e-16,
    clipping_threshold: float = 1.0,
) -> GradientTransformation:
    """CAME's rescaling: Adafactor's, averaged, and divided by how far the steps are from their mean.

        R, C ← means of |g|² + eps over columns and over rows, decay b2
        û = g / √(R·C / mean(R))                             û ← û / max(1, rms(û) / clipping_threshold)
        m ← b1·m + (1−b1)·û
        S, T ← means of |û − m|² + eps_residual over columns and over rows, decay b3
        u = m / √(S·T / mean(S))

    Rows and columns are the last two axes. A scalar or a vector keeps v, the mean of |g|² + eps itself: û = g / √v and u = m.
    No mean is corrected for its start at 0, so that the first steps are longer.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      b1: decay of the mean of the steps.
      b2: decay of the means of the squares.
      b3: decay of the means of the residuals.
      eps: added to the squares.
      eps_residual: added to the squares of the residuals.
      clipping_threshold: the largest root mean square of a step before it is averaged.

    References:
      Luo et al., CAME: Confidence-guided Adaptive Memory Efficient Optimization, 2023, https://arxiv.org/abs/2307.02047
    """

    def clipped(u: jax.Array) -> jax.Array:
        rms = tree.norm(u) / float(max(1, size_along(u))) ** 0.5
        return u / jnp.maximum(1, rms / clipping_threshold)

    @tree.lift(like="g m v_row v_col v residual_row residual_col", same_shapes="m")
    def rule(g, m, v_row, v_col, v, residual_row, residual_col):
        square = bounded_square(g) + eps
        g = squarable(g)
        if g.ndim < 2:
            v = b2 * v + (1 - b2) * square
            m = b1 * m + (1 - b1) * clipped(g / safe_sqrt(v))
            return m, m, v_row, v_col, v, residual_row, residual_col
        v_row, v_col = _updated((v_row, v_col), square, b2)
        step = clipped(_divided(g, v_row, v_col))
        m = b1 * m + (1 - b1) * step
        residual_row, residual_col = _updated((residual_row, residual_col), abs_sq(step - m) + eps_residual, b3)
        return _divided(m, residual_row, residual_col), m, v_row, v_col, v, residual_row, residual_col

    def init(params: Params) -> ScaleByCameState:
        zeros = tree.moment_like(params, real=True)
        starts = tree.map_leaves(_start, zeros)
        parts = (tree.map_leaves(lambda zero, start, k=k: start[k], zeros, starts) for k in range(5))
        return ScaleByCameState(tree.moment_like(params), *parts)

    @tells(decays={"mu": ("b1", b1)}, update_size=None)
    def update(updates: Updates, state: ScaleByCameState, params: Params | None = None):
        updates, *means = rule(updates, *state)
        return updates, ScaleByCameState(*means)

    return GradientTransformation(init, update)


def _start(zero: jax.Array) -> tuple[jax.Array, ...]:
    """The means of squares of a leaf (by rows, by columns, each) and of residuals (by rows, by columns) at the start."""

    def unused() -> jax.Array:
        return tree.full_of_shape(zero, 1)

    if zero.ndim < 2:
        return unused(), unused(), zero, unused(), unused()
    # Sums, so that shards of the axes left stay.
    rows, columns = sum_along(zero, -1), sum_along(zero, -2)
    return rows, columns, unused(), jnp.copy(rows), jnp.copy(columns)


def _updated(means: tuple[jax.Array, jax.Array], square: jax.Array, decay: float) -> tuple[jax.Array, jax.Array]:
    """The means of squares over the columns and over the rows, one step on."""
    rows, columns = means
    return decay * rows + (1 - decay) * mean_along(square, -1), decay * columns + (1 - decay) * mean_along(square, -2)


def _divided(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """x / √(rows·columns / mean of rows), as quotients of roots: their squares might underflow."""
    mean = mean_along(rows, -1, keepdims=True, of=range(x.ndim - 1))
    row_root = safe_sqrt(rows) / safe_sqrt(mean)
    # Products with reciprocals: the derivative of a quotient of what is 0 has the square of a root of eps, and overflows.
    return x * (1 / jnp.expand_dims(row_root, -1)) * (1 / jnp.expand_dims(safe_sqrt(columns), -2))


@factory(eps=NONNEGATIVE, eps_residual=NONNEGATIVE, clipping_threshold=LIMIT)
def came(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    b3: float = 0.9999,
    eps: float = 1e-30,
    eps_residual: float = 1e-16,
    clipping_threshold: float = 1.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """CAME: Adafactor with momentum that trusts a step less, row by row and column by column, the more steps differ.

        Δp = −η·( u + weight_decay·p )        u of `scale_by_came`

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule; the authors take 2e-4 for language models, half of Adam's.
      b1, b2, b3, eps, eps_residual, clipping_threshold: as in `scale_by_came`.
      weight_decay, mask: as in `adamw`.

    References:
      Luo et al., 2023, https://arxiv.org/abs/2307.02047
    """
    return chain(
        scale_by_came(b1, b2, b3, eps, eps_residual, clipping_threshold),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
