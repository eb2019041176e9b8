"""Schedules that factories have made: functions of the step that know where they end, and can be drawn."""

import math
import textwrap
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import pictures
from gradtx.core.protocol import Function

_LAST_COUNT = 2**31 - 1  # of an int32


class ScheduleFunction(Function):
    """A schedule that a factory has made, which can be drawn.

    Attributes:
      end: the step from which on its value stays as it is; None if that is not known, or never.
    """

    def __init__(self, function: Callable[[Any], Any], made_by: Callable[..., Any] | None = None, *, end: Any = None):
        super().__init__(function, made_by)
        self.end: Any = end

    def plot(self, steps: int | None = None, *, axes: Any = None) -> Any:
        """Draw the value over the steps with matplotlib; return the axes.

            warmup_cosine_decay_schedule(0.0, 3e-4, 100, 1000).plot()

        Args:
          steps: how many are drawn; by default those until the value stays as it is, and a tenth more.
          axes: those of a figure; by default those of a new one. Several schedules on the same axes have a legend.

        Raises:
          ImportError: matplotlib is not installed.
          ValueError: there are no `steps`, and the schedule does not say at which step its value stays as it is, or that is the
            first.
        """
        last = _steps_to_draw(self, steps)
        counts = pictures.steps_until(last)
        axes = pictures.new_axes() if axes is None else axes
        color = pictures.COLORS[len(axes.lines) % len(pictures.COLORS)]
        axes.plot(counts, jax.vmap(self)(jnp.asarray(counts, jnp.int32)), color=color, linewidth=1.5, label=repr(self))
        pictures.tidy(axes)
        axes.set(xlabel="step", ylabel="value")
        if len(axes.lines) > 1:
            axes.legend(frameon=False, fontsize="small")
        axes.set_title("" if len(axes.lines) > 1 else textwrap.fill(repr(self), 100), loc="left", fontsize="medium")
        return axes


def _steps_to_draw(schedule: ScheduleFunction, steps: int | None) -> int:
    """The last step of a picture."""
    if steps is not None:
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 1 <= steps <= _LAST_COUNT:
            raise ValueError(f"plot: steps must be a whole number from 1 to {_LAST_COUNT}, got {steps!r}.")
        return int(steps)
    if schedule.end is None or not 0 < schedule.end <= _LAST_COUNT / 1.1:
        raise ValueError(f"plot: {schedule!r} does not say how many steps to draw; give them, as in plot(1000).")
    return math.ceil(schedule.end + schedule.end / 10)
