"""A schedule in proportion to another."""

from typing import Any

import jax

from gradtx.core import Schedule, factory
from gradtx.schedules import formula


@factory
def scaled_schedule(schedule: Schedule, factor: float | jax.Array) -> Schedule:
    """Multiply a schedule by a number: f(t) = factor · schedule(t).

    Args:
      schedule: a function of the step.
      factor: a scalar of any sign.

    Raises:
      TypeError: `schedule` is no function.
    """
    if not callable(schedule):
        raise TypeError(
            f"scaled_schedule takes a function of the step, got {schedule!r}; for a number write constant_schedule."
        )

    def value(count: jax.Array) -> Any:
        return factor * schedule(count)

    return formula.schedule(value)
