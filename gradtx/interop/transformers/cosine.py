"""Cosine schedules of transformers.optimization."""

from typing import Any

import jax.numpy as jnp

from gradtx import require
from gradtx.core import Scalar, Schedule, factory
from gradtx.interop.transformers.phases import at_least_one, warmed_up, waves
from gradtx.schedules.formula import COUNTABLE, FRACTION, between, cosine, elapsed, schedule

_RANGES = {
    "num_warmup_steps": COUNTABLE,
    "num_training_steps": COUNTABLE,
    "num_cycles": require.NONNEGATIVE,
    "min_lr": require.NONNEGATIVE,
    "min_lr_rate": require.NONNEGATIVE,
}


@factory(**_RANGES)
def get_cosine_schedule_with_warmup(
    lr: Scalar, num_warmup_steps: Scalar, num_training_steps: Scalar, num_cycles: Scalar = 0.5
) -> Schedule:
    """Rise along a line, then fall along half a cosine.

        s(t) = (t − num_warmup_steps) / (num_training_steps − num_warmup_steps)
        f(t) = lr · (1 + cos(2π·num_cycles·s(t))) / 2      for t ≥ num_warmup_steps

    Beyond `num_training_steps` it rises again; gradtx's own `warmup_cosine_decay_schedule` stays at its end.

    Args:
      lr: value at step `num_warmup_steps`.
      num_warmup_steps: how many steps the rise takes; 0 for none.
      num_training_steps: how many steps both take together.
      num_cycles: how many waves there are, falls and rises; 0.5 is one fall.

    Raises:
      ValueError: a number is out of its range.
    """
    return _cosine(lr, num_warmup_steps, num_training_steps, num_cycles, 0)


@factory(**_RANGES)
def get_cosine_with_min_lr_schedule_with_warmup(
    lr: Scalar,
    num_warmup_steps: Scalar,
    num_training_steps: Scalar,
    num_cycles: Scalar = 0.5,
    min_lr: Scalar | None = None,
    min_lr_rate: Scalar | None = None,
) -> Schedule:
    """Rise along a line from 0, then fall along half a cosine to the least value: `min_lr`, or `min_lr_rate` times `lr`.

    Args:
      lr, num_warmup_steps, num_training_steps, num_cycles: as in `get_cosine_schedule_with_warmup`.
      min_lr: the least value; give either this or `min_lr_rate`.
      min_lr_rate: the least value as a fraction of `lr`.

    Raises:
      ValueError: both of `min_lr` and `min_lr_rate` are given or neither, or a number is out of its range.
    """
    least = _least("get_cosine_with_min_lr_schedule_with_warmup", lr, min_lr, min_lr_rate)
    return _cosine(lr, num_warmup_steps, num_training_steps, num_cycles, least)


@factory(**_RANGES, warmup_lr_rate=FRACTION)
def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    lr: Scalar,
    num_warmup_steps: Scalar,
    num_training_steps: Scalar,
    num_cycles: Scalar = 0.5,
    min_lr: Scalar | None = None,
    min_lr_rate: Scalar | None = None,
    warmup_lr_rate: Scalar | None = None,
) -> Schedule:
    """Rise along a line, not from 0, then fall along half a cosine; one step ahead of the schedules without `warmup_lr_rate`.

        f(t) = lr · (t + 1) / num_warmup_steps                                              in the warm-up, by default
        f(t) = lr · (warmup_lr_rate + (1 − warmup_lr_rate) · t / (num_warmup_steps − 1))    with a rate

    Both reach `lr` at the last step of the warm-up, and the cosine falls from the next step on, to its least value at step
    `num_training_steps − 1`.

    Args:
      lr: the largest value.
      num_warmup_steps, num_training_steps, num_cycles: as in `get_cosine_schedule_with_warmup`.
      min_lr, min_lr_rate: as in `get_cosine_with_min_lr_schedule_with_warmup`.
      warmup_lr_rate: the first value as a fraction of `lr`; by default one over `num_warmup_steps`.

    Raises:
      ValueError: both of `min_lr` and `min_lr_rate` are given or neither, or a number is out of its range.
    """
    least = _least("get_cosine_with_min_lr_schedule_with_warmup_lr_rate", lr, min_lr, min_lr_rate)

    @schedule
    def formula(count):
        if warmup_lr_rate is None:
            rise = lr * ((count + 1) / at_least_one(num_warmup_steps))
        else:
            rise = between(lr, lr * warmup_lr_rate, count / at_least_one(num_warmup_steps - 1))
        fall = waves(count + 1, num_warmup_steps, num_training_steps - num_warmup_steps, num_cycles)
        return jnp.where(count < num_warmup_steps, rise, between(lr, least, fall))

    return formula


@factory(**_RANGES)
def get_cosine_with_hard_restarts_schedule_with_warmup(
    lr: Scalar, num_warmup_steps: Scalar, num_training_steps: Scalar, num_cycles: Scalar = 1
) -> Schedule:
    """Rise along a line, then fall along half a cosine again and again, each time from the top.

    Each cycle takes (num_training_steps − num_warmup_steps) / num_cycles steps; from `num_training_steps` on the value is 0.
    With more than 20 cycles, transformers may restart one step late, where its quotient is rounded down.

    Args:
      lr: value at step `num_warmup_steps`, where the first cycle begins, and at each restart.
      num_warmup_steps: how many steps the rise takes; 0 for none.
      num_training_steps: how many steps all take together.
      num_cycles: how many times it falls.

    Raises:
      ValueError: a number is out of its range.
    """

    @schedule
    def formula(count):
        steps = at_least_one(num_training_steps - num_warmup_steps)
        done = elapsed(count, num_warmup_steps).astype(float)
        fall = cosine((steps - jnp.mod(num_cycles * done, steps)) / steps)
        return lr * warmed_up(count, num_warmup_steps, jnp.where(done < steps, fall, 0))

    return formula


def _cosine(lr: Any, num_warmup_steps: Any, num_training_steps: Any, num_cycles: Any, least: Any) -> Schedule:
    @schedule
    def formula(count):
        fall = between(lr, least, waves(count, num_warmup_steps, num_training_steps - num_warmup_steps, num_cycles))
        return jnp.where(count < num_warmup_steps, lr * warmed_up(count, num_warmup_steps, 1), fall)

    return formula


def _least(owner: str, lr: Any, min_lr: Any, min_lr_rate: Any) -> Any:
    if (min_lr is None) == (min_lr_rate is None):
        raise ValueError(f"{owner} takes one of min_lr and min_lr_rate, got {min_lr=} and {min_lr_rate=}.")
    return lr * min_lr_rate if min_lr is None else min_lr
