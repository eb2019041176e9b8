"""GreedyLR of transformers: a learning rate that rises while a value improves, and falls while it does not."""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.core import GradientTransformationExtraArgs, Params, Updates, factory
from gradtx.numerics import Count
from gradtx.transforms.scale import scaled
from gradtx.tree.dtypes import working_dtype


class GreedyLRState(NamedTuple):
    """The learning rate, the best value, good and bad values in a row, values to wait after a rise and after a fall, falls to
    bear at the bottom, steps of this epoch, and the last values, of which there have been `count`."""

    learning_rate: jax.Array
    best_value: jax.Array
    good_count: Count
    bad_count: Count
    warmup_count: Count
    cooldown_count: Count
    reset_count: Count
    step_count: Count
    count: Count
    values: jax.Array


@factory(
    lr=require.POSITIVE,
    factor=require.Range(low=0, high=1, low_included=False, high_included=False),
    patience=require.NONNEGATIVE,
    threshold=require.NONNEGATIVE,
    cooldown=require.NONNEGATIVE,
    warmup=require.NONNEGATIVE,
    min_lr=require.NONNEGATIVE,
    max_lr=require.POSITIVE,
    window_size=require.AT_LEAST_ONE,
    reset_start=require.AT_LEAST_ONE,
    every=require.AT_LEAST_ONE,
)
def greedy_lr(
    lr: float,
    mode: Literal["min", "max"] = "min",
    factor: float = 0.95,
    patience: int = 10,
    threshold: float = 1e-6,
    threshold_mode: Literal["rel", "abs"] = "abs",
    cooldown: int = 0,
    warmup: int = 0,
    min_lr: float = 1e-3,
    max_lr: float = 1.0,
    eps: float = 1e-8,
    smooth: bool = False,
    window_size: int = 50,
    reset_start: int = 500,
    *,
    every: int = 1,
) -> GradientTransformationExtraArgs:
    """Scale the updates of an optimizer as if its learning rate rose and fell with a value, such as the loss.

        u = g · rate / lr                                  rate: lr at first, for the optimizer that is made with `lr`
        better = value < best − threshold                  or best · (1 − threshold), by "rel"
        rate ← min(rate / factor, max_lr)                  after more than `patience` better values in a row
        rate ← max(rate · factor, min_lr)                  after more than `patience` others in a row

    Chain it after the optimizer, `chain(adam(1e-2), greedy_lr(1e-2))`, and give `update` the `value=`; as there, a value
    counts from the next step on. Whenever it would fall and is `min_lr` already, that is counted, and after `reset_start`
    times, with no rise in between, it starts again at `lr`. It starts below the `min_lr` of 0.001 with many an `lr` of AdamW:
    then it only rises.

    Args:
      lr: the learning rate of the optimizer.
      mode: whether the value is to be small or large; for "max", better = value > best + threshold, or best·(1 + threshold).
      factor: what the rate is multiplied or divided by.
      patience: how many values in a row to bear.
      threshold: how much better counts.
      threshold_mode: whether `threshold` is a fraction of the best, "rel", or not, "abs".
      cooldown: how many values not to count after a fall.
      warmup: how many values not to count after a rise.
      min_lr: where falls stop.
      max_lr: where rises stop.
      eps: rises and falls not larger than this are left out.
      smooth: whether the mean of the last `window_size` values counts instead of each.
      window_size: of how many values the mean is taken.
      reset_start: how many falls at `min_lr` to bear.
      every: how many steps an epoch has: the value of the last step of each is read, the others are not.

    Raises:
      TypeError: `lr` is a schedule.
      ValueError: a number is out of its range, or a word is another, or `value` is not a scalar.

    References:
      GreedyLR: A Novel Adaptive Learning Rate Scheduler, 2025, https://arxiv.org/abs/2512.14527
    """
    sign = 1 if mode == "min" else -1
    worst = sign * math.inf

    def is_better(value, best):
        bar = best * (1 - sign * threshold) if threshold_mode == "rel" else best - sign * threshold
        return sign * value < sign * bar

    def observed(value, rate, best, good, bad, warm, cool, left, count, values):
        if smooth:
            values, count = _with(value, values, count)
            value = jnp.sum(values) / count
        waits = (warm > 0) | (cool > 0)
        better = is_better(value, best) & ~waits
        best = jnp.where(better, value, best)
        good = jnp.where(better, good + 1, 0)
        bad = jnp.where(better | waits, 0, bad + 1)
        rises, falls = good > patience, bad > patience

        higher, lower = jnp.minimum(rate / factor, max_lr), jnp.maximum(rate * factor, min_lr)
        rate = jnp.where(rises & (higher - rate > eps), higher, jnp.where(falls & (rate - lower > eps), lower, rate))
        stuck = falls & (rate <= min_lr)
        left = jnp.where(rises, reset_start, jnp.where(stuck, left - 1, left))
        resets = stuck & (left <= 0)
        return (
            jnp.where(resets, lr, rate),
            jnp.where(resets, worst, best),
            jnp.where(rises, 0, good),
            jnp.where(falls, 0, bad),
            jnp.where(rises, warmup, jnp.where(cool > 0, warm, jnp.maximum(warm - 1, 0))),
            jnp.where(falls, cooldown, jnp.maximum(cool - 1, 0)),
            jnp.where(resets, reset_start, left),
            jnp.where(resets, 0, count),
            jnp.where(resets, 0, values),
        )

    @tree.lift(like="rate best good bad warm cool left steps count values", same_shapes=False)
    def observe(rate, best, good, bad, warm, cool, left, steps, count, values, *, value):
        old = (rate, best, good, bad, warm, cool, left, count, values)
        due = steps + 1 >= every
        *new, count, values = (jnp.where(due, n, o) for n, o in zip(observed(value, *old), old, strict=True))
        return *new, jnp.where(due, 0, steps + 1), count, values

    def init(params: Params) -> GreedyLRState:
        dtype = working_dtype(jax.tree.leaves(params))
        return GreedyLRState(
            learning_rate=jnp.full((), lr, dtype),
            best_value=jnp.full((), worst, dtype),
            good_count=jnp.zeros((), jnp.int32),
            bad_count=jnp.zeros((), jnp.int32),
            warmup_count=jnp.zeros((), jnp.int32),
            cooldown_count=jnp.zeros((), jnp.int32),
            reset_count=jnp.full((), reset_start, jnp.int32),
            step_count=jnp.zeros((), jnp.int32),
            count=jnp.zeros((), jnp.int32),
            values=jnp.zeros(window_size if smooth else 0, dtype),
        )

    def update(updates: Updates, state: GreedyLRState, params: Params | None = None, *, value: Any):
        require.scalar("value", value)
        return scaled(updates, factor=state.learning_rate / lr), GreedyLRState(*observe(*state, value=value))

    return GradientTransformationExtraArgs(init, update)


def _with(value: jax.Array, values: jax.Array, count: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The last values, the newest first and zeros where there have been none, and how many there have been."""
    return jnp.concatenate([jnp.reshape(value, 1), values[:-1]]), jnp.minimum(count + 1, values.size)
