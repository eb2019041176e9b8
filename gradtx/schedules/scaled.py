"""Schedules in proportion to another."""

from typing import Any

import jax

from gradtx import require
from gradtx.core import Scalar, Schedule, ScheduleFunction, at_step, factory
from gradtx.schedules import formula


@factory
def scaled_schedule(schedule: Schedule, factor: Scalar) -> ScheduleFunction:
    """Multiply a schedule by a number: f(t) = factor · schedule(t).

    Args:
      schedule: a function of the step.
      factor: a scalar of any sign.

    Raises:
      TypeError: `schedule` is not a function.
    """

    @formula.schedule(end=formula.end_of(schedule))
    def value(count: jax.Array) -> Any:
        return factor * at_step(schedule, count)

    return value


@factory(weight_decay=require.NONNEGATIVE, peak_value=require.POSITIVE)
def corrected_weight_decay_schedule(weight_decay: Scalar, learning_rate: Schedule, peak_value: Scalar) -> ScheduleFunction:
    """AdamC's weight decay: in proportion to the learning rate, f(t) = weight_decay · learning_rate(t) / peak_value.

        rate = warmup_cosine_decay_schedule(0.0, 3e-4, 100, 1000)
        adamw(rate, weight_decay=corrected_weight_decay_schedule(0.1, rate, 3e-4))

    The decay is multiplied by the learning rate once more in a step. Where a normalization follows a layer, its gradients then
    no longer grow at the end of a training, as they do with a constant decay while the rate falls.

    Args:
      weight_decay: the decay where the learning rate is at its peak.
      learning_rate: the schedule of the optimizer.
      peak_value: its largest value.

    Raises:
      TypeError: `learning_rate` is not a function.
      ValueError: `weight_decay` is negative, or `peak_value` is not positive.

    Conventions:
      The paper corrects the decay of layers alone that a normalization follows; timm and facebookresearch's optimizers that of
      all. `grouped`, or `chain` with the `mask` of two `add_decayed_weights`, tells them apart.

    References:
      Defazio, Why Gradients Rapidly Increase Near the End of Training, 2025, https://arxiv.org/abs/2506.02285
    """

    @formula.schedule(end=formula.end_of(learning_rate))
    def value(count: jax.Array) -> Any:
        return weight_decay * (at_step(learning_rate, count) / peak_value)

    return value
