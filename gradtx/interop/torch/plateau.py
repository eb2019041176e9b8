"""torch.optim.lr_scheduler.ReduceLROnPlateau, as a member of a chain."""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.core import GradientTransformationExtraArgs, Params, Updates, factory
from gradtx.numerics import Count
from gradtx.transforms.scale import scaled
from gradtx.tree.dtypes import working_dtype


class PlateauState(NamedTuple):
    """The learning rate, the best value, bad values in a row, values of the cooldown to come, and steps of this epoch."""

    learning_rate: jax.Array
    best: jax.Array
    num_bad_epochs: Count
    cooldown_counter: Count
    count: Count


@factory(
    lr=require.POSITIVE,
    factor=require.DECAY,
    patience=require.NONNEGATIVE,
    cooldown=require.NONNEGATIVE,
    min_lr=require.NONNEGATIVE,
    every=require.AT_LEAST_ONE,
)
def reduce_lr_on_plateau(
    lr: float,
    mode: Literal["min", "max"] = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    min_lr: float = 0,
    eps: float = 1e-8,
    *,
    every: int = 1,
) -> GradientTransformationExtraArgs:
    """Scale the updates of an optimizer as if its learning rate fell whenever a value, such as the loss, stops improving.

        u = g · learning_rate / lr
        better = value < best · (1 − threshold)                    "rel"; best − threshold with "abs"
        learning_rate ← max(learning_rate · factor, min_lr)        after more than `patience` values in a row that are not

    Chain it after the optimizer, `chain(adam(1e-3), reduce_lr_on_plateau(1e-3))`, and give `update` the `value=`; a value
    counts from the next step on, as when `scheduler.step(value)` comes after `optimizer.step()`. The optimizer must be
    linear in its `lr`: `rprop`, `asgd` and `adafactor` are not. The present rate is `learning_rate` in the state.

    Below 0, "rel" is torch's: best · (1 − threshold) is above the best, so that a value a little worse is better, and
    becomes the best. gradtx's own `reduce_on_plateau` takes the margin off, and falls one bad value earlier. NaN is bad.

    Args:
      lr: the learning rate of the optimizer, a number.
      mode: whether the value is to be small or large; for "max", better = value > best·(1 + threshold), or best + threshold.
      factor: what the learning rate is multiplied by.
      patience: how many bad values in a row to bear.
      threshold: how much better counts.
      threshold_mode: whether `threshold` is a fraction of the best, "rel", or not, "abs".
      cooldown: how many values after a fall are not bad.
      min_lr: where the learning rate stops.
      eps: a fall that is not larger is left out.
      every: how many steps an epoch has: the value of the last step of each is read, the others are not.

    Raises:
      TypeError: `lr` is a schedule.
      ValueError: a number is out of its range, or a word is another, or `value` is not a scalar.
    """
    sign = 1 if mode == "min" else -1

    @tree.lift
    def observe(rate, best, bad, cooling, count, *, value):
        due = count + 1 >= every
        bar = best * (1 - sign * threshold) if threshold_mode == "rel" else best - sign * threshold
        better = sign * value < sign * bar
        bad_now = jnp.where(better | (cooling > 0), 0, bad + 1)
        falls = due & (bad_now > patience)
        lower = jnp.maximum(rate * factor, min_lr)
        return (
            jnp.where(falls & (rate - lower > eps), lower, rate),
            jnp.where(due & better, value, best),
            jnp.where(falls, 0, jnp.where(due, bad_now, bad)),
            jnp.where(falls, cooldown, jnp.where(due, jnp.maximum(cooling - 1, 0), cooling)),
            jnp.where(due, 0, count + 1),
        )

    def init(params: Params) -> PlateauState:
        dtype = working_dtype(jax.tree.leaves(params))
        return PlateauState(
            learning_rate=jnp.full((), lr, dtype),
            best=jnp.full((), sign * math.inf, dtype),
            num_bad_epochs=jnp.zeros((), jnp.int32),
            cooldown_counter=jnp.zeros((), jnp.int32),
            count=jnp.zeros((), jnp.int32),
        )

    def update(updates: Updates, state: PlateauState, params: Params | None = None, *, value: Any):
        require.scalar("value", value)
        return scaled(updates, factor=state.learning_rate / lr), PlateauState(*observe(*state, value=value))

    return GradientTransformationExtraArgs(init, update)
