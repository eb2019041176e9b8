"""The factored second moment of Adafactor (Shazeer & Stern 2018)."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

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
from gradtx.numerics import Count, bounded_square, safe_increment, safe_sqrt, squarable
from gradtx.require import LIMIT, NONNEGATIVE
from gradtx.transforms.clipping import clip_by_block_rms
from gradtx.transforms.momentum import ema
from gradtx.transforms.param_block import scale_by_param_block_rms
from gradtx.transforms.scale import scale, scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.along import size_along, sum_along
from gradtx.tree.masks import Mask
from gradtx.tree.scopes import whole_shape


class FactoredState(NamedTuple):
    """Steps taken; means of the squares over the columns and over the rows, or of each square. What is not used is [0]."""

    count: Count
    v_row: Updates
    v_col: Updates
    v: Updates


def _decay_rate_pow(i: jax.Array, exponent: float = 0.8) -> jax.Array:
    """1 − (i+1)^−exponent: no memory at the first step, ever more later."""
    return 1.0 - _power(i, exponent)


def _power(i: jax.Array, exponent: float) -> jax.Array:
    return (jnp.asarray(i).astype(float) + 1.0) ** -exponent


@factory(epsilon=NONNEGATIVE)
def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: float = 0.8,
    step_offset: int = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: float = 1e-30,
    decay_rate_fn: Callable[[jax.Array, float], jax.Array] = _decay_rate_pow,
    *,
    last_axes: bool = False,
    floor: float | Literal["machine epsilon"] | None = None,
) -> GradientTransformation:
    """Adafactor's rescaling: the gradient over its root mean square, kept for large matrices as means of rows and columns.

        d = 1 − (t+1)^−decay_rate                               t = 0 at the first step
        R ← d·R + (1−d)·mean over columns of |g|² + epsilon
        C ← d·C + (1−d)·mean over rows of |g|² + epsilon
        u = g / √(R·C / mean(R))

    An array is factored along its two largest axes, if the smaller has at least `min_dim_size_to_factor` entries. Any other
    keeps v ← d·v + (1−d)·(|g|² + epsilon), and u = g / √v. With a `floor`, u = g / max(√(R·C / max(mean(R), floor)), floor).

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      factored: whether to factor at all.
      decay_rate: exponent of the decay.
      step_offset: number of steps that the decay lags behind, for a second training with an old state. Until then d is that of
        the first step.
      min_dim_size_to_factor: the least size of an axis to factor.
      epsilon: added to each square.
      decay_rate_fn: d as a function of the step and of `decay_rate`.
      last_axes: whether to factor along the last two axes, as PyTorch and Keras do, and not along the two largest.
      floor: the least root that is divided by, as PyTorch has it instead of `epsilon`; "machine epsilon" for the epsilon of the
        dtype it computes in.

    References:
      Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018, https://arxiv.org/abs/1804.04235
    """

    def axes(shape: tuple[int, ...]) -> tuple[int, int] | None:
        return _factored_axes(shape, min_dim_size_to_factor, last_axes) if factored else None

    @tree.lift(like="g v_row v_col v", same_shapes=False)
    def rule(g, v_row, v_col, v, *, weight):
        square = bounded_square(g) + epsilon
        g = squarable(g)
        least = jnp.finfo(g.dtype).eps if floor == "machine epsilon" else floor
        largest = axes(whole_shape(g))
        if largest is None:
            v = (1 - weight) * v + weight * square
            return g / (safe_sqrt(v) if least is None else jnp.maximum(safe_sqrt(v), least)), v_row, v_col, v
        rows, columns = largest
        of_rows, of_columns = _means(square, (columns, rows))
        v_row = (1 - weight) * v_row + weight * of_rows
        v_col = (1 - weight) * v_col + weight * of_columns
        rows_in_v_row = rows - (columns < rows)
        of_v_row = [axis for axis in range(g.ndim) if axis != columns]
        # A quotient of roots: squares of 1e-30, which the derivative of a quotient of means has, would underflow.
        row_mean = jnp.expand_dims(_mean(v_row, rows_in_v_row, of_v_row), rows_in_v_row)
        row_mean = row_mean if least is None else jnp.maximum(row_mean, least)
        row_root = jnp.expand_dims(safe_sqrt(v_row) / safe_sqrt(row_mean), columns)
        col_root = jnp.expand_dims(safe_sqrt(v_col), rows)
        u = g / row_root / col_root if least is None else g / jnp.maximum(row_root * col_root, least)
        return u, v_row, v_col, v

    def init(params: Params) -> FactoredState:
        zeros = tree.moment_like(params, real=True)
        triples = tree.map_leaves(lambda zero: _start(zero, axes(whole_shape(zero))), zeros)
        parts = (tree.map_leaves(lambda zero, triple, k=k: triple[k], zeros, triples) for k in range(3))
        return FactoredState(jnp.zeros((), jnp.int32), *parts)

    @tells(update_size=1.0)
    def update(updates: Updates, state: FactoredState, params: Params | None = None):
        steps = jnp.maximum(state.count - step_offset, 0)
        # Where it is a power, not as one minus one minus it, of which little is left in the long run.
        power = decay_rate_fn is _decay_rate_pow
        weight = _power(steps, decay_rate) if power else 1 - decay_rate_fn(steps, decay_rate)
        updates, v_row, v_col, v = rule(updates, state.v_row, state.v_col, state.v, weight=weight)
        return updates, FactoredState(safe_increment(state.count), v_row, v_col, v)

    return GradientTransformation(init, update)


def _factored_axes(shape: tuple[int, ...], min_size: int, last: bool) -> tuple[int, int] | None:
    """The two largest axes, the largest last, or the two last; None if not both have at least `min_size` entries."""
    if len(shape) < 2:
        return None
    order = range(len(shape)) if last else np.argsort(shape, kind="stable")
    *_, rows, columns = (int(axis) for axis in order)
    return (rows, columns) if min(shape[rows], shape[columns]) >= min_size else None


def _mean(square: jax.Array, axis: int, of: Sequence[int] | None = None) -> jax.Array:
    """The mean along an axis, whose sum might overflow; `of` as for `sum_along`."""
    [mean] = _means(square, (axis,), of)
    return mean


def _means(square: jax.Array, axes: Sequence[int], of: Sequence[int] | None = None) -> list[jax.Array]:
    """The means along each of some axes."""
    sizes = [max(1, size_along(square, axis, of=of)) for axis in axes]
    unit = 2.0 ** (max(sizes) - 1).bit_length()
    part = square * (1 / unit)  # the same for all of them: XLA would keep an array for each
    return [sum_along(part, axis, of=of) * (unit / n) for axis, n in zip(axes, sizes, strict=True)]


def _start(zero: jax.Array, largest: tuple[int, int] | None) -> tuple[jax.Array, jax.Array, jax.Array]:
    unused = tree.full_of_shape(zero, 1)
    if largest is None:
        return unused, jnp.copy(unused), zero
    rows, columns = largest
    return sum_along(zero, columns), sum_along(zero, rows), unused  # sums, so that shards of the axes left stay


@factory(clipping_threshold=LIMIT)
def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: float = 0.8,
    decay_offset: int = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: float | None = 1.0,
    momentum: float | None = None,
    dtype_momentum: DTypeLike | None = jnp.float32,
    weight_decay_rate: ScalarOrSchedule | None = None,
    eps: float = 1e-30,
    factored: bool = True,
    weight_decay_mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """Adafactor: RMSProp relative to the size of the parameters, with the second moment of matrices in rows and columns.

        u = g / √v                                        v of `scale_by_factored_rms`
        u ← u / max(1, rms(u) / clipping_threshold)
        u ← η·u·max(rms(p), 1e-3)
        u ← mean of u with decay `momentum`
        Δp = −(u + weight_decay_rate·p)

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number, a schedule, or None for 1.
      min_dim_size_to_factor, decay_rate, factored: as in `scale_by_factored_rms`.
      decay_offset, eps: `step_offset` and `epsilon` of `scale_by_factored_rms`.
      multiply_by_parameter_scale: whether the step is relative to the root mean square of the parameters.
      clipping_threshold: the largest root mean square of u, or None.
      momentum, dtype_momentum: decay of the mean of the updates, or None for none, and dtype of that mean.
      weight_decay_rate, weight_decay_mask: a number, a schedule or None; see `add_decayed_weights`.

    Conventions:
      As in Optax, the two largest axes are factored, of at least 128 entries; η is used as it is, and 1 without a learning
      rate, a first step as large as the parameters; the weight decay is not multiplied by it. PyTorch and Keras factor the last
      two axes, whatever their size, take at most η = 1/√t, and multiply their decay by the learning rate; Hugging Face's takes
      η = min(0.01, 1/√t) without one. Exactly theirs are `interop.torch.adafactor` and `interop.keras.adafactor`.

    References:
      Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018, https://arxiv.org/abs/1804.04235
    """
    members: list[GradientTransformation] = [
        scale_by_factored_rms(factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)
    ]
    if clipping_threshold is not None:
        members.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        members.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        members.append(scale_by_param_block_rms())
    if momentum is not None:
        members.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        members.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*members, scale(-1.0))
