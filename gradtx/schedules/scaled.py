"""A schedule in proportion to another."""

from typing import Any

import jax

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
