"""keras.optimizers.schedules."""

from collections.abc import Sequence

import jax.numpy as jnp

from gradtx import require
from gradtx.core import Scalar, Schedule, factory
from gradtx.schedules import decay
from gradtx.schedules.formula import COUNTABLE, COUNTABLE_FROM_ONE, between, cosine, schedule
from gradtx.schedules.piecewise import join_schedules
from gradtx.schedules.restarts import restarts

_STARTS = {"initial_learning_rate": require.NONNEGATIVE, "decay_steps": COUNTABLE_FROM_ONE}


@factory(**_STARTS, decay_rate=require.POSITIVE)
def exponential_decay(
    initial_learning_rate: Scalar, decay_steps: Scalar, decay_rate: Scalar, staircase: bool = False
) -> Schedule:
    """Multiply by a rate once every `decay_steps` steps, smoothly or at once: gradtx's `exponential_decay`, which begins at 0.

    Args:
      initial_learning_rate: value at the start.
      decay_steps: how many steps it takes to be multiplied by `decay_rate`.
      decay_rate: the factor.
      staircase: whether the value jumps.

    Raises:
      ValueError: a number is out of its range.
    """
    return decay.exponential_decay(initial_learning_rate, decay_steps, decay_rate, staircase=staircase)


@factory
def piecewise_constant_decay(boundaries: Sequence[Scalar], values: Sequence[Scalar]) -> Schedule:
    """Go from value to value, each held up to its boundary and at it.

    gradtx's `piecewise_constant_schedule` jumps one step earlier, at the boundary, and takes factors instead of values.

    Args:
      boundaries: the last step of each value but the last, in ascending order.
      values: one more than boundaries.

    Raises:
      ValueError: `values` are not one more than `boundaries`, or these are negative or not in order.
    """
    if len(values) != len(boundaries) + 1:
        raise ValueError(
            f"piecewise_constant_decay: {len(boundaries)} boundaries part {len(boundaries) + 1} values, got {len(values)}"
        )
    return join_schedules([decay.constant_schedule(value) for value in values], [boundary + 1 for boundary in boundaries])


@factory(**_STARTS, end_learning_rate=require.NONNEGATIVE, power=require.NONNEGATIVE)
def polynomial_decay(
    initial_learning_rate: Scalar,
    decay_steps: Scalar,
    end_learning_rate: Scalar = 0.0001,
    power: Scalar = 1.0,
    cycle: bool = False,
) -> Schedule:
    """Go from one value to another along a power of what is left: gradtx's `polynomial_schedule`, with the power last.

    With `cycle`, whenever the end is reached, what there is to go is made longer by `decay_steps`:

        T(t) = decay_steps · max(1, ⌈t / decay_steps⌉)
        f(t) = end_learning_rate + (initial_learning_rate − end_learning_rate) · (1 − t / T(t))^power

    Args:
      initial_learning_rate: value at the start.
      decay_steps: after how many steps the end is reached.
      end_learning_rate: value at the end; not 0 by default.
      power: of the polynomial.
      cycle: whether the value rises again after each end, less high each time, instead of staying.

    Raises:
      ValueError: a number is out of its range.
    """
    if not cycle:
        return decay.polynomial_schedule(initial_learning_rate, end_learning_rate, power, decay_steps)

    @schedule
    def formula(count):
        ahead = jnp.where(count > 0, -count % decay_steps, decay_steps).astype(float)
        left = ahead / (count.astype(float) + ahead)
        return between(initial_learning_rate, end_learning_rate, left**power)

    return formula


@factory(**_STARTS, decay_rate=require.NONNEGATIVE)
def inverse_time_decay(
    initial_learning_rate: Scalar, decay_steps: Scalar, decay_rate: Scalar, staircase: bool = False
) -> Schedule:
    """Divide by a number that grows with the steps.

        f(t) = initial_learning_rate / (1 + decay_rate · t / decay_steps)

    Args:
      initial_learning_rate: value at the start.
      decay_steps: the unit of time.
      decay_rate: what is added to the divisor in a unit of time.
      staircase: whether to round t / decay_steps down, so that the value jumps.

    Raises:
      ValueError: a number is out of its range.
    """

    @schedule
    def formula(count):
        # A quotient of floats can fall below the whole number that it is.
        time = (count // decay_steps).astype(float) if staircase else count.astype(float) / decay_steps
        return initial_learning_rate / (1 + decay_rate * time)

    return formula


@factory(**_STARTS, warmup_target=require.NONNEGATIVE, warmup_steps=COUNTABLE)
def cosine_decay(
    initial_learning_rate: Scalar,
    decay_steps: Scalar,
    alpha: Scalar = 0.0,
    warmup_target: Scalar | None = None,
    warmup_steps: Scalar = 0,
) -> Schedule:
    """Fall along half a cosine, if a target is given after a rise along a line to it.

    Without a target this is gradtx's `cosine_decay_schedule`. With one it is unlike `warmup_cosine_decay_schedule`, whose
    steps of decay count those of the warm-up and whose end is a value, not a fraction.

    Args:
      initial_learning_rate: value at the start.
      decay_steps: how many steps the fall takes, after the warm-up.
      alpha: value at the end, as a fraction of that from which it falls.
      warmup_target: value at the end of the warm-up; None for no warm-up, whatever its steps.
      warmup_steps: how many steps the rise takes.

    Raises:
      ValueError: a number is out of its range.
    """
    if warmup_target is None:
        return decay.cosine_decay_schedule(initial_learning_rate, decay_steps, alpha)
    rise = decay.linear_schedule(initial_learning_rate, warmup_target, warmup_steps)
    return join_schedules([rise, decay.cosine_decay_schedule(warmup_target, decay_steps, alpha)], [warmup_steps])


@factory(
    initial_learning_rate=require.NONNEGATIVE,
    first_decay_steps=require.POSITIVE,
    t_mul=require.AT_LEAST_ONE,
    m_mul=require.NONNEGATIVE,
)
def cosine_decay_restarts(
    initial_learning_rate: Scalar,
    first_decay_steps: float,
    t_mul: float = 2.0,
    m_mul: Scalar = 1.0,
    alpha: Scalar = 0.0,
) -> Schedule:
    """Fall along half a cosine again and again, each time for longer and from another height.

        f(t) = initial_learning_rate · (alpha + (1 − alpha) · m_mulⁱ · (1 + cos(π·s)) / 2)

    with i the number of restarts so far, and s from 0 to 1 in the cycle of first_decay_steps·t_mulⁱ steps. `alpha` is not
    multiplied by m_mul. Keras finds i by a logarithm, in float32 by default; where that is rounded down, its value at the
    restart is still the end of the cycle before: on torch, at the 13th restart with t_mul = 2.

    Args:
      initial_learning_rate: value at the start.
      first_decay_steps: how many steps the first cycle takes; no traced number.
      t_mul: the steps of a cycle over those of the one before, at least 1; no traced number.
      m_mul: the height of a cycle over that of the one before.
      alpha: the lowest value as a fraction of `initial_learning_rate`.

    Raises:
      ValueError: a number is out of its range.

    References:
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, https://arxiv.org/abs/1608.03983
    """
    cycle = restarts(first_decay_steps, t_mul)

    @schedule
    def formula(count):
        index, left = cycle(count)
        return initial_learning_rate * between(m_mul ** index.astype(float) * cosine(left), 1, 1 - alpha)

    return formula
