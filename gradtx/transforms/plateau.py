"""Smaller steps on a plateau of the loss."""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.core import GradientTransformationExtraArgs, Params, Updates, factory
from gradtx.numerics import Count
from gradtx.transforms.scale import scaled
from gradtx.tree.dtypes import working_dtype


class ReduceLROnPlateauState(NamedTuple):
    """The factor of the updates, the best mean, bad means in a row, means to wait, and the mean of `count` values."""

    scale: jax.Array
    best_value: jax.Array
    plateau_count: Count
    cooldown_count: Count
    count: Count
    avg_value: jax.Array


@factory(
    factor=require.Range(low=0, high=1, low_included=False, high_included=False),
    patience=require.AT_LEAST_ONE,
    rtol=require.Range(low=0, high=1, high_included=False),
    atol=require.NONNEGATIVE,
    cooldown=require.NONNEGATIVE,
    accumulation_size=require.AT_LEAST_ONE,
    min_scale=require.NONNEGATIVE,
)
def reduce_on_plateau(
    factor: float = 0.1,
    patience: int = 10,
    rtol: float = 1e-4,
    atol: float = 0.0,
    cooldown: int = 0,
    accumulation_size: int = 1,
    min_scale: float = 0.0,
    *,
    mode: Literal["min", "max"] = "min",
) -> GradientTransformationExtraArgs:
    """Reduce the updates by a factor whenever a value, such as the loss, has stopped improving.

        better = f < best − (rtol·|best| + atol)         f: the mean of `accumulation_size` values
        u = scale · g

    After `patience` means in a row that are not better, scale ← max(factor·scale, min_scale). The next `cooldown` means are
    not counted as bad. The margin is below the best value of any sign: that of a negative one is not 1 − rtol of it, as in
    PyTorch, which is above it. PyTorch waits for one bad value more than its patience.

    `update` reads `value=`. Give the same number to all devices and steps of a batch: the loss on held-out data, say.

    Args:
      factor: what the scale is multiplied by, between 0 and 1.
      patience: how many bad means in a row to bear.
      rtol: how much better counts, as a fraction of the best.
      atol: how much better counts in any case.
      cooldown: how many means to wait after a fall.
      accumulation_size: of how many values in a row the mean is taken.
      min_scale: where the scale stops.
      mode: whether the value is to be small or large, as an accuracy is; for "max", better = f > best + (rtol·|best| + atol).

    Raises:
      ValueError: a number is out of its range, or `mode` is another word, or `value` is not a scalar.
    """
    sign = 1 if mode == "min" else -1

    @tree.lift
    def observe(scale, best, bad, wait, count, mean, *, value):
        count = count + 1
        mean = mean + (value - mean) / count
        due = count >= accumulation_size
        better = due & (sign * mean < _threshold(sign * best, rtol, atol))
        bad = jnp.where(due, jnp.where(better | (wait > 0), 0, bad + 1), bad)
        falls = bad >= patience
        return (
            jnp.where(falls, jnp.maximum(factor * scale, min_scale), scale),
            jnp.where(better, mean, best),
            jnp.where(falls, 0, bad),
            jnp.where(falls, cooldown, jnp.where(due, jnp.maximum(wait - 1, 0), wait)),
            jnp.where(due, 0, count),
            jnp.where(due, 0, mean),
        )

    def init(params: Params) -> ReduceLROnPlateauState:
        dtype = working_dtype(jax.tree.leaves(params))
        return ReduceLROnPlateauState(
            scale=jnp.ones((), dtype),
            best_value=jnp.full((), sign * math.inf, dtype),
            plateau_count=jnp.zeros((), jnp.int32),
            cooldown_count=jnp.zeros((), jnp.int32),
            count=jnp.zeros((), jnp.int32),
            avg_value=jnp.zeros((), dtype),
        )

    def update(updates: Updates, state: ReduceLROnPlateauState, params: Params | None = None, *, value: Any):
        require.scalar("value", value)
        state = ReduceLROnPlateauState(*observe(*state, value=value))
        return scaled(updates, factor=state.scale), state

    return GradientTransformationExtraArgs(init, update)


def _threshold(best, rtol, atol):
    """What is better is below; infinite if the best is."""
    return best * (1 - rtol * jnp.sign(best)) - atol
