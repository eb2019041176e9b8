"""Multiply updates by a number: a constant, a schedule, a learning rate."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx import tree
from gradtx.core import (
    EmptyState,
    GradientTransformation,
    Params,
    ScalarOrSchedule,
    Schedule,
    Updates,
    at_step,
    factory,
    identity,
    init_empty_state,
    tells,
)
from gradtx.numerics import Count, safe_increment

ScaleState = EmptyState


class ScaleByScheduleState(NamedTuple):
    """Steps taken."""

    count: Count


@tree.lift
def scaled(g, *, factor):
    """Return u = factor·g, where `factor` is a scalar."""
    return factor * g


@factory
def scale(step_size: ArrayLike) -> GradientTransformation:
    """Multiply the updates by a number: u = step_size · g.

    Args:
      step_size: a number of any sign, or an array that broadcasts to every leaf.
    """

    @tree.lift
    def rule(g):
        return step_size * g

    @tells(factor=step_size)
    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        return rule(updates), state

    return GradientTransformation(init_empty_state, update)


@factory
def scale_by_schedule(step_size_fn: Schedule) -> GradientTransformation:
    """Multiply the updates by a function of the step: u = f(t) · g, with t = 0 at the first step.

    Args:
      step_size_fn: a schedule.

    Raises:
      TypeError: `step_size_fn` is not callable.
    """
    return _scale_by(step_size_fn, sign=1)


@factory
def scale_by_learning_rate(learning_rate: ScalarOrSchedule | None = None, *, flip_sign: bool = True) -> GradientTransformation:
    """Multiply the updates by minus the learning rate: u = −η·g, a step that descends.

    Args:
      learning_rate: a number, a schedule, or None for none: the updates stay as they are, their sign too.
      flip_sign: False leaves the minus out, for a step that ascends.
    """
    if learning_rate is None:
        return identity()
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return _scale_by(learning_rate, sign)
    return scale(sign * learning_rate)


def _scale_by(schedule: Schedule, sign: int) -> GradientTransformation:
    def init(params: Params) -> ScaleByScheduleState:
        return ScaleByScheduleState(jnp.zeros((), jnp.int32))

    @tells(factor=schedule)
    def update(updates: Updates, state: ScaleByScheduleState, params: Params | None = None):
        updates = scaled(updates, factor=sign * at_step(schedule, state.count))
        return updates, ScaleByScheduleState(safe_increment(state.count))

    return GradientTransformation(init, update)
