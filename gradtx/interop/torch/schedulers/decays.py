"""torch's schedulers that multiply the learning rate, step by step or at some steps, and LambdaLR."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradtx import require
from gradtx.core import Scalar, factory
from gradtx.interop.torch.schedulers.recurrence import Scheduler, power, scaling, setting, stepped
from gradtx.schedules.formula import AT_LEAST_ONE_STEP, COUNTABLE, FRACTION, between

_ABOVE_ZERO = FRACTION._replace(low_included=False)
_ITERATIONS = {"total_iters": COUNTABLE}


@factory
def lambda_lr(lr: Scalar, lr_lambda: Callable[[Any], Any]) -> Scheduler:
    """Follow a function: f(t) = lr · lr_lambda(t), as LambdaLR.

    Args:
      lr: learning rate that the factors are of.
      lr_lambda: a function of the count, an array, to a factor; of jax.numpy where it compares or computes.

    Raises:
      TypeError: `lr_lambda` is not callable.
    """
    return setting("lambda_lr", lr, lambda count: lr * lr_lambda(count.astype(int)))


@factory
def multiplicative_lr(lr: Scalar, lr_lambda: Callable[[Any], Any]) -> Scheduler:
    """Multiply by a factor that a function gives for each step: f(t) = lr · ∏ lr_lambda(k), k from 1 to t, as MultiplicativeLR.

    The product is computed again at each call, in a loop of t turns: in long trainings, write what it amounts to as a
    `lambda_lr`.

    Args:
      lr: learning rate at step 0.
      lr_lambda: a function of the count, an array, to a factor.

    Raises:
      TypeError: `lr_lambda` is not callable.
    """

    def run(found, since, until):
        return stepped(lambda value, count: value * lr_lambda(count.astype(int)), found, since, until)

    def restart(found):
        return found * lr_lambda(jnp.zeros((), int))

    return Scheduler("multiplicative_lr", lr, lambda found: found, run, restart, kind="scales")


@factory(step_size=AT_LEAST_ONE_STEP, gamma=require.NONNEGATIVE)
def step_lr(lr: Scalar, step_size: int, gamma: float = 0.1) -> Scheduler:
    """Multiply at every `step_size`-th step: f(t) = lr · gamma^⌊t / step_size⌋, as StepLR.

    Args:
      lr: learning rate at step 0.
      step_size: how many steps it stays.
      gamma: the factor.

    Raises:
      ValueError: `step_size` is not a positive integer, or `gamma` is negative.
    """
    return scaling("step_lr", lr, lambda since, until: power(gamma, until // step_size - since // step_size))


@factory(gamma=require.NONNEGATIVE)
def multi_step_lr(lr: Scalar, milestones: Sequence[float], gamma: float = 0.1) -> Scheduler:
    """Multiply at each milestone: f(t) = lr · ∏ {gamma : milestone ≤ t}, as MultiStepLR.

    Args:
      lr: learning rate before the first milestone.
      milestones: the steps, in any order; at one that is listed twice it multiplies twice, and a fraction is not a step.
      gamma: the factor.

    Raises:
      ValueError: a milestone or `gamma` is negative.
    """
    for milestone in milestones:
        require.in_range("a milestone", milestone, COUNTABLE)
    steps = np.array(sorted(int(milestone) for milestone in milestones if milestone == int(milestone)), np.int32)

    def passed(count):
        return jnp.searchsorted(steps, jnp.asarray(count).astype(jnp.int32), side="right")

    return scaling(
        "multi_step_lr",
        lr,
        lambda since, until: power(gamma, passed(until) - passed(since)),
        first=gamma ** int(np.sum(steps == 0)),
        settled=int(np.max(steps, initial=0)),
    )


@factory(factor=_ABOVE_ZERO, **_ITERATIONS)
def constant_lr(lr: Scalar, factor: float = 1.0 / 3, total_iters: float = 5) -> Scheduler:
    """Multiply by a factor until step `total_iters`, where it is divided out, as ConstantLR.

    Args:
      lr: learning rate from `total_iters` on.
      factor: of the steps before.
      total_iters: how many they are. If it is 0, or a fraction, torch never comes by the step at which it divides.

    Raises:
      ValueError: `factor` is not above 0 and at most 1, or `total_iters` is negative.
    """

    def growth(since, until):
        ends = (since < total_iters) & (total_iters <= until) & (total_iters == jnp.floor(total_iters))
        return jnp.where(ends, 1.0 / factor, 1)

    def restart(found):
        return lr * jnp.where(total_iters > 0, factor, 1)

    return scaling("constant_lr", lr, growth, factor, restart, settled=_settled(total_iters))


@factory(start_factor=_ABOVE_ZERO, end_factor=FRACTION, **_ITERATIONS)
def linear_lr(lr: Scalar, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: float = 5) -> Scheduler:
    """Multiply by a factor that goes along a line, as LinearLR.

        f(t) = lr · (start_factor + (end_factor − start_factor)·min(t, total_iters) / total_iters)

    Args:
      lr: learning rate that the factors are of.
      start_factor: of step 0.
      end_factor: of step `total_iters` and those after.
      total_iters: how many steps the line takes; with 0, the factor stays `start_factor`.

    Raises:
      ValueError: a number is out of its range.
    """

    def height(count):
        return between(start_factor, end_factor, _left(count, total_iters))

    def growth(since, until):
        return _ratio(height(until), height(since))

    return scaling("linear_lr", lr, growth, start_factor, settled=_settled(total_iters))


@factory(gamma=require.NONNEGATIVE)
def exponential_lr(lr: Scalar, gamma: float) -> Scheduler:
    """Multiply at every step: f(t) = lr · gamma^t, as ExponentialLR.

    Args:
      lr: learning rate at step 0.
      gamma: the factor.

    Raises:
      ValueError: `gamma` is negative.
    """
    return scaling("exponential_lr", lr, lambda since, until: power(gamma, until - since))


@factory(power=require.NONNEGATIVE, **_ITERATIONS)
def polynomial_lr(lr: Scalar, total_iters: float = 5, power: float = 1.0) -> Scheduler:
    """Fall to 0 along a power of what is left: f(t) = lr · (1 − min(t / total_iters, 1))^power, as PolynomialLR.

    Args:
      lr: learning rate at step 0.
      total_iters: how many steps the fall takes; with 0 there is none.
      power: of the polynomial.

    Raises:
      ValueError: a number is negative.
    """

    def growth(since, until):
        return _ratio(_left(until, total_iters), _left(since, total_iters)) ** power

    return scaling("polynomial_lr", lr, growth, settled=_settled(total_iters))


def _left(count: Any, total_iters: Any) -> Any:
    """What is left of a transition, 1 at first and 0 at `total_iters`; of a fraction, the last whole step is the end."""
    done = jnp.minimum(count, jnp.floor(jnp.asarray(total_iters, float)))
    duration = jnp.where(total_iters > 0, total_iters, 1).astype(float)
    return (duration - done) / duration


def _ratio(value: Any, earlier: Any) -> Any:
    """How much it has grown; a fall to 0 was the last change."""
    return jnp.where(earlier == 0, 1, value / jnp.where(earlier == 0, 1, earlier))


def _settled(total_iters: Any) -> float:
    return math.floor(total_iters) if isinstance(total_iters, int | float) else math.inf
