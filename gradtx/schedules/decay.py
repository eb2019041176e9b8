"""Schedules that go from one value to another: constant, linear, polynomial, exponential, cosine."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.core import Scalar, ScheduleFunction, factory
from gradtx.schedules.formula import (
    ANY_STEPS,
    AT_LEAST_ONE_STEP,
    STEPS,
    between,
    completed,
    cosine,
    countable,
    elapsed,
    remaining,
    schedule,
)


@factory
def constant_schedule(value: Scalar) -> ScheduleFunction:
    """Return the same value at every step.

    Args:
      value: the value.
    """

    @schedule(end=0)
    def formula(count):
        return value

    return formula


@factory(transition_steps=ANY_STEPS, transition_begin=STEPS)
def linear_schedule(
    init_value: Scalar, end_value: Scalar, transition_steps: Scalar, transition_begin: Scalar = 0
) -> ScheduleFunction:
    """Go from one value to another in equal steps: the polynomial of power 1.

    Args:
      init_value: value until `transition_begin`.
      end_value: value from `transition_begin + transition_steps` on.
      transition_steps: how many steps the transition takes. With 0 or fewer there is none: the value stays `init_value`, which
        programs rely on that join a warm-up of no steps to what follows it.
      transition_begin: the step at which it begins.

    Raises:
      ValueError: `transition_begin` is negative.
    """
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


@factory(power=require.NONNEGATIVE, transition_steps=ANY_STEPS, transition_begin=STEPS)
def polynomial_schedule(
    init_value: Scalar, end_value: Scalar, power: Scalar, transition_steps: Scalar, transition_begin: Scalar = 0
) -> ScheduleFunction:
    """Polynomial decay: go from one value to another along a power of what is left of the transition.

        r(t) = 1 − clip((t − transition_begin) / transition_steps, 0, 1)
        f(t) = end_value + (init_value − end_value)·r(t)^power

    Args:
      init_value, end_value, transition_steps, transition_begin: as in `linear_schedule`.
      power: of the polynomial; 1 is a line, 2 falls fast first and slowly at the end.

    Raises:
      ValueError: `transition_begin`, or the power, is negative.
    """

    @schedule(end=transition_begin + transition_steps)
    def formula(count):
        left = remaining(count, transition_begin, transition_steps)
        rest = completed(count, transition_begin, transition_steps) if isinstance(power, int) and power == 1 else None
        return between(init_value, end_value, left**power, rest)

    return formula


@factory(transition_steps=ANY_STEPS, decay_rate=require.NONNEGATIVE, transition_begin=STEPS)
def exponential_decay(
    init_value: Scalar,
    transition_steps: Scalar,
    decay_rate: Scalar,
    transition_begin: Scalar = 0,
    staircase: bool = False,
    end_value: Scalar | None = None,
) -> ScheduleFunction:
    """Exponential decay: multiply by a rate once every `transition_steps` steps, and smoothly in between.

        n(t) = max(t − transition_begin, 0) / transition_steps
        f(t) = init_value · decay_rate^n(t)

    Args:
      init_value: value until `transition_begin`.
      transition_steps: how many steps it takes to be multiplied by `decay_rate`; 0 or fewer for never.
      decay_rate: the factor; above 1 the value grows. 0 is taken for no decay, as in Optax: the value stays `init_value`.
      transition_begin: the step at which it begins.
      staircase: whether to round n down, so that the value jumps; see also `step_decay_schedule`.
      end_value: the least value; the largest, if `decay_rate` is at least 1. By default there is none.

    Raises:
      ValueError: `transition_begin` or `decay_rate` is negative.
    """

    @schedule
    def formula(count):
        decays = jnp.logical_and(transition_steps > 0, decay_rate != 0)
        steps = jnp.where(decays, elapsed(count, transition_begin), 0)
        period = jnp.where(decays, countable(transition_steps), 1)
        # A quotient of floats can fall below the whole number that it is.
        periods = (steps // period).astype(float) if staircase else steps.astype(float) / period
        value = init_value * jnp.where(decays, decay_rate, 1) ** periods
        return value if end_value is None else jnp.where(decays, _bounded(value, end_value, decay_rate), init_value)

    return formula


@factory(init_value=require.NONNEGATIVE, scale=require.NONNEGATIVE, total_steps=AT_LEAST_ONE_STEP, power=require.NONNEGATIVE)
def power_cooldown_schedule(init_value: Scalar, scale: Scalar, total_steps: Scalar, power: Scalar = 1.2) -> ScheduleFunction:
    """Power cooldown: a constant, then a power of the steps that are left, from where that is less.

        f(t) = min(init_value, scale·(total_steps − t)^power)        0 from total_steps on

    The scale says how the last steps go, however long the training is: a longer one has a longer constant, and the same end.

    Args:
      init_value: the constant.
      scale: factor of the power: the value of the last step, of which one is left.
      total_steps: how many steps there are.
      power: exponent of the steps left; above 1 the value falls fast first and slowly at the end.

    Raises:
      ValueError: a number is negative, or `total_steps` is less than 1.

    References:
      Jordan et al., modded-nanogpt, track 3, 2026, https://github.com/KellerJordan/modded-nanogpt
    """

    @schedule(end=total_steps)
    def formula(count):
        return jnp.minimum(init_value, scale * (total_steps * remaining(count, 0, total_steps)) ** power)

    return formula


def _bounded(value: jax.Array, end_value: Any, decay_rate: Any) -> jax.Array:
    return jnp.where(decay_rate < 1, jnp.maximum(value, end_value), jnp.minimum(value, end_value))


@factory(decay_steps=AT_LEAST_ONE_STEP, exponent=require.NONNEGATIVE)
def cosine_decay_schedule(
    init_value: Scalar, decay_steps: Scalar, alpha: Scalar = 0.0, exponent: Scalar = 1.0
) -> ScheduleFunction:
    """Cosine decay: fall along half a cosine, slowly at first, fast in the middle, slowly at the end.

        c(t) = (1 + cos(π·min(t / decay_steps, 1))) / 2
        f(t) = init_value · (alpha + (1 − alpha)·c(t)^exponent)

    Args:
      init_value: value at the start.
      decay_steps: after how many steps the end is reached.
      alpha: the value at the end as a fraction of `init_value`.
      exponent: of the cosine.

    Raises:
      ValueError: `decay_steps` is less than 1, or `exponent` is negative.

    References:
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, https://arxiv.org/abs/1608.03983
    """

    @schedule(end=decay_steps)
    def formula(count):
        return init_value * between(1, alpha, cosine(remaining(count, 0, decay_steps)) ** exponent)

    return formula
