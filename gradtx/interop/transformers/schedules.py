"""Constant, linear, polynomial and inverse-root schedules of transformers.optimization."""

import numbers
from typing import Any

import jax.numpy as jnp

from gradtx import require
from gradtx.core import Scalar, Schedule, factory
from gradtx.interop.transformers.phases import warmed_up
from gradtx.schedules.decay import constant_schedule
from gradtx.schedules.formula import COUNTABLE, COUNTABLE_FROM_ONE, between, elapsed, remaining, schedule


@factory
def get_constant_schedule(lr: Scalar) -> Schedule:
    """Return the same value at every step.

    Args:
      lr: the value.
    """
    return constant_schedule(lr)


@factory(num_warmup_steps=COUNTABLE)
def get_constant_schedule_with_warmup(lr: Scalar, num_warmup_steps: Scalar) -> Schedule:
    """Rise along a line, then stay.

    The first value is 0, as in all schedules of transformers with a warm-up of this kind: the first step does not move.

    Args:
      lr: value from step `num_warmup_steps` on.
      num_warmup_steps: how many steps the line takes; 0 for none.

    Raises:
      ValueError: a number is out of its range.
    """

    @schedule
    def formula(count):
        return lr * warmed_up(count, num_warmup_steps, 1)

    return formula


@factory(num_warmup_steps=COUNTABLE, num_training_steps=COUNTABLE)
def get_linear_schedule_with_warmup(lr: Scalar, num_warmup_steps: Scalar, num_training_steps: Scalar) -> Schedule:
    """Rise along a line, then fall to 0 along another: what the Trainer does by default, without a warm-up.

    Args:
      lr: value at step `num_warmup_steps`.
      num_warmup_steps: how many steps the rise takes; 0 for none.
      num_training_steps: how many steps both take together; the value is 0 from there on.

    Raises:
      ValueError: a number is out of its range.
    """
    return _polynomial(lr, num_warmup_steps, num_training_steps, 0, 1)


@factory(num_warmup_steps=COUNTABLE, num_training_steps=COUNTABLE, lr_end=require.NONNEGATIVE, power=require.POSITIVE)
def get_polynomial_decay_schedule_with_warmup(
    lr: Scalar, num_warmup_steps: Scalar, num_training_steps: Scalar, lr_end: Scalar = 1e-7, power: Scalar = 1.0
) -> Schedule:
    """Rise along a line, then fall along a power of what is left of the training.

        r(t) = (num_training_steps − t) / (num_training_steps − num_warmup_steps)
        f(t) = lr_end + (lr − lr_end)·r(t)^power      for t ≥ num_warmup_steps

    Args:
      lr: value at step `num_warmup_steps`.
      num_warmup_steps: how many steps the rise takes; 0 for none.
      num_training_steps: how many steps both take together.
      lr_end: value from step `num_training_steps` on.
      power: of the polynomial.

    Raises:
      ValueError: `lr_end` is not less than `lr`, or a number is out of its range.
    """
    if isinstance(lr, numbers.Real) and isinstance(lr_end, numbers.Real) and not lr > lr_end:
        raise ValueError(f"get_polynomial_decay_schedule_with_warmup: lr_end must be less than lr ({lr}), got {lr_end}")
    return _polynomial(lr, num_warmup_steps, num_training_steps, lr_end, power)


def _polynomial(lr: Any, num_warmup_steps: Any, num_training_steps: Any, lr_end: Any, power: Any) -> Schedule:
    @schedule
    def formula(count):
        left = remaining(count, num_warmup_steps, num_training_steps - num_warmup_steps)
        # Of a training that is over when the warm-up ends, nothing is left.
        left = jnp.where(count < num_training_steps, left, 0)
        return jnp.where(count < num_warmup_steps, lr * warmed_up(count, num_warmup_steps, 1), between(lr, lr_end, left**power))

    return formula


@factory(num_warmup_steps=COUNTABLE, timescale=COUNTABLE_FROM_ONE)
def get_inverse_sqrt_schedule(lr: Scalar, num_warmup_steps: Scalar, timescale: Scalar | None = None) -> Schedule:
    """Rise along a line, then fall as one over the square root of the step, forever.

        f(t) = lr · √(timescale / (t − num_warmup_steps + timescale))      for t ≥ num_warmup_steps

    Args:
      lr: value at step `num_warmup_steps`.
      num_warmup_steps: how many steps the rise takes; 0 for none.
      timescale: after how many steps of the fall the value is lr/√2; by default `num_warmup_steps`, or 10000 if that is 0.

    Raises:
      ValueError: a number is out of its range.
    """

    @schedule
    def formula(count):
        scale = jnp.where(num_warmup_steps > 0, num_warmup_steps, 10_000) if timescale is None else timescale
        fall = elapsed(count, num_warmup_steps).astype(float)
        return lr * warmed_up(count, num_warmup_steps, jnp.sqrt(scale / (fall + scale)))

    return formula
