"""Schedules made of pieces: jumps at given steps, values joined by lines or half cosines, other schedules in turn."""

import itertools
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.core import Scalar, Schedule, ScheduleFunction, at_step, factory
from gradtx.errors import unnamed
from gradtx.schedules.decay import exponential_decay
from gradtx.schedules.formula import (
    ANY_STEPS,
    AT_LEAST_ONE_STEP,
    STEPS,
    between,
    completed,
    cosine,
    countable,
    elapsed,
    end_after,
    last_of,
    remaining,
    schedule,
)

Breakpoint = tuple[Any, Any]
"""A step, and the value there."""

CURVES: Mapping[str, Callable[[jax.Array], jax.Array]] = {"linear": lambda left: left, "cosine": cosine}
"""Weight of the value at the left end, as a function of what is left of the piece."""


@factory(boundaries_and_scales=ANY_STEPS)
def piecewise_constant_schedule(
    init_value: Scalar, boundaries_and_scales: Mapping[int, Scalar] | Mapping[float, Scalar] | None = None
) -> ScheduleFunction:
    """Multiply the value by a scale at each boundary, where it stays until the next.

        f(t) = init_value · ∏ {scale : boundary ≤ t}

    Args:
      init_value: value before the first boundary.
      boundaries_and_scales: the factor for each step at which the value jumps.

    Raises:
      ValueError: a boundary or a scale is negative.
    """
    return _jumps(init_value, _checked(boundaries_and_scales))


@factory(transition_steps=AT_LEAST_ONE_STEP, decay_rate=require.POSITIVE)
def step_decay_schedule(init_value: Scalar, transition_steps: Scalar, decay_rate: Scalar = 0.1) -> ScheduleFunction:
    """Multiply the value by a rate at every `transition_steps`-th step, as `StepLR` of PyTorch does.

        f(t) = init_value · decay_rate^⌊t / transition_steps⌋

    Args:
      init_value: value at the start.
      transition_steps: how many steps the value stays.
      decay_rate: the factor.

    Raises:
      ValueError: `transition_steps` is less than 1, or `decay_rate` is not positive.
    """
    return exponential_decay(init_value, transition_steps, decay_rate, staircase=True)


@factory(boundaries=STEPS, decay_rate=require.NONNEGATIVE)
def multi_step_decay_schedule(init_value: Scalar, boundaries: Sequence[Scalar], decay_rate: Scalar = 0.1) -> ScheduleFunction:
    """Multiply the value by the same rate at each boundary, as `MultiStepLR` of PyTorch does at its milestones.

        f(t) = init_value · ∏ {decay_rate : boundary ≤ t}

    Args:
      init_value: value before the first boundary.
      boundaries: the steps at which the value jumps, in any order; at one that is listed twice it jumps twice.
      decay_rate: the factor.

    Raises:
      ValueError: a boundary or the rate is negative.
    """
    for boundary in boundaries:
        require.in_range("a boundary", boundary, STEPS)
    return _jumps(init_value, [(boundary, decay_rate) for boundary in boundaries])


def _jumps(init_value: Any, boundaries_and_scales: Sequence[tuple[Any, Any]]) -> ScheduleFunction:
    @schedule(end=last_of(boundary for boundary, _ in boundaries_and_scales))
    def formula(count):
        value = jnp.asarray(init_value, float)
        for boundary, scale in boundaries_and_scales:
            value = jnp.where(count < countable(boundary), value, scale * value)
        return value

    return formula


def _checked(boundaries_and_scales: Mapping[Any, Any] | None) -> list[tuple[int, Any]]:
    """The boundaries with their scales, in the order of the boundaries."""
    pairs = sorted((boundaries_and_scales or {}).items())
    for boundary, scale in pairs:
        require.in_range("a boundary", boundary, STEPS)
        require.in_range(f"the scale at {boundary}", scale, require.NONNEGATIVE)
    return pairs


@factory(boundaries_and_scales=ANY_STEPS)
def piecewise_interpolate_schedule(
    interpolate_type: Literal["linear", "cosine"],
    init_value: Scalar,
    boundaries_and_scales: Mapping[int, Scalar] | Mapping[float, Scalar] | None = None,
) -> ScheduleFunction:
    """Go from boundary to boundary along lines or half cosines; each boundary scales the value at the one before.

    After the last boundary the value stays.

    Args:
      interpolate_type: "linear" or "cosine".
      init_value: value at step 0.
      boundaries_and_scales: for each boundary, the value there as a multiple of that at the boundary before.

    Raises:
      ValueError: the type is neither, or a boundary or a scale is negative.
    """
    breakpoints = [(0, init_value)]
    for boundary, scale in _checked(boundaries_and_scales):
        breakpoints.append((boundary, scale * breakpoints[-1][1]))
    return interpolated(interpolate_type, breakpoints)


def interpolated(interpolate_type: str, breakpoints: Sequence[Breakpoint]) -> ScheduleFunction:
    """Join breakpoints, in the order of their steps, by curves. Of breakpoints at one step the last counts."""
    curve = CURVES[interpolate_type]

    @schedule(end=breakpoints[-1][0])
    def formula(count):
        value = breakpoints[-1][1]
        for (begin, start), (finish, end) in reversed(list(itertools.pairwise(breakpoints))):
            left, done = (part(count, begin, finish - begin) for part in (remaining, completed))
            piece = between(start, end, curve(left), curve(done))
            value = jnp.where(count < countable(finish), piece, value)
        return value

    return formula


@factory(boundaries=ANY_STEPS)
def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[Scalar]) -> ScheduleFunction:
    """Follow one schedule after another; each counts its own steps, from 0 at the boundary where it begins.

    Args:
      schedules: functions of the step.
      boundaries: the step at which each of them but the first begins, in ascending order. Where two are equal, the
        schedule between them is left out: a warm-up of 0 steps is none.

    Raises:
      TypeError: one of `schedules` is not callable.
      ValueError: `boundaries` are not one fewer than `schedules`, negative, or not in order.
    """
    if len(schedules) != len(boundaries) + 1:
        raise unnamed(
            ValueError,
            f"{len(schedules)} schedules meet at {len(schedules) - 1} boundaries, got {len(boundaries)}: the "
            "first begins at 0, the last never ends.",
        )
    for earlier, later in itertools.pairwise([0, *boundaries]):
        require.in_range(f"the boundary after {earlier}", later, _not_before(earlier))

    @schedule(end=end_after(boundaries[-1] if boundaries else 0, schedules[-1]))
    def formula(count):
        value = at_step(schedules[0], count)
        for boundary, member in zip(boundaries, schedules[1:], strict=True):
            value = jnp.where(count < countable(boundary), value, at_step(member, elapsed(count, boundary)))
        return value

    return formula


def _not_before(earlier: Any) -> require.Range:
    return STEPS._replace(low=earlier) if isinstance(earlier, numbers.Real) else STEPS
