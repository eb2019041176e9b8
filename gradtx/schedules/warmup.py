"""Schedules that rise before they fall: warm-ups, single cycles, warm restarts."""

import itertools
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax.numpy as jnp

from gradtx import require
from gradtx.core import Scalar, Schedule, ScheduleFunction, factory
from gradtx.errors import unnamed
from gradtx.schedules.decay import constant_schedule, exponential_decay, linear_schedule
from gradtx.schedules.formula import (
    ANY_STEPS,
    AT_LEAST_ONE_STEP,
    FRACTION,
    STEPS,
    between,
    completed,
    cosine,
    remaining,
    schedule,
)
from gradtx.schedules.piecewise import interpolated, join_schedules


@factory(warmup_steps=STEPS)
def warmup_constant_schedule(init_value: Scalar, peak_value: Scalar, warmup_steps: Scalar) -> ScheduleFunction:
    """Linear warm-up, then a constant.

    Args:
      init_value: value at step 0.
      peak_value: value from step `warmup_steps` on.
      warmup_steps: how many steps the line takes; 0 for none.

    Raises:
      ValueError: `warmup_steps` is negative.
    """
    return _after_warmup(init_value, peak_value, warmup_steps, constant_schedule(peak_value))


@factory(warmup_steps=STEPS, decay_steps=AT_LEAST_ONE_STEP, exponent=require.NONNEGATIVE)
def warmup_cosine_decay_schedule(
    init_value: Scalar,
    peak_value: Scalar,
    warmup_steps: Scalar,
    decay_steps: Scalar,
    end_value: Scalar = 0.0,
    exponent: Scalar = 1.0,
) -> ScheduleFunction:
    """Linear warm-up, then cosine decay.

        c(t) = (1 + cos(π·min((t − warmup_steps) / (decay_steps − warmup_steps), 1))) / 2
        f(t) = end_value + (peak_value − end_value)·c(t)^exponent      for t ≥ warmup_steps

    The first value is `init_value`: with 0, the first step does not move.

    Args:
      init_value: value at step 0.
      peak_value: value at step `warmup_steps`.
      warmup_steps: how many steps the line takes; 0 for none.
      decay_steps: how many steps both take together: where the cosine ends, counted from step 0.
      end_value: value from step `decay_steps` on.
      exponent: of the cosine.

    Raises:
      ValueError: `decay_steps` is not larger than `warmup_steps`, or an argument is negative that must not be.

    References:
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, https://arxiv.org/abs/1608.03983
      Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017, https://arxiv.org/abs/1706.02677
    """
    if isinstance(warmup_steps, numbers.Real) and isinstance(decay_steps, numbers.Real) and decay_steps <= warmup_steps:
        raise ValueError(
            f"warmup_cosine_decay_schedule: decay_steps counts the warm-up too, so it must be above warmup_steps "
            f"({warmup_steps}), got {decay_steps}"
        )

    @schedule(end=decay_steps - warmup_steps)
    def decay(count):
        return between(peak_value, end_value, cosine(remaining(count, 0, decay_steps - warmup_steps)) ** exponent)

    return _after_warmup(init_value, peak_value, warmup_steps, decay)


@factory(warmup_steps=STEPS, transition_steps=ANY_STEPS, decay_rate=require.NONNEGATIVE, transition_begin=STEPS)
def warmup_exponential_decay_schedule(
    init_value: Scalar,
    peak_value: Scalar,
    warmup_steps: Scalar,
    transition_steps: Scalar,
    decay_rate: Scalar,
    transition_begin: Scalar = 0,
    staircase: bool = False,
    end_value: Scalar | None = None,
) -> ScheduleFunction:
    """Linear warm-up, then an `exponential_decay` whose steps count from the end of the warm-up.

    Args:
      init_value, peak_value, warmup_steps: as in `warmup_cosine_decay_schedule`.
      transition_steps, decay_rate, staircase, end_value: as in `exponential_decay`, for what follows.
      transition_begin: how many steps the peak lasts.

    Raises:
      ValueError: `warmup_steps`, `transition_begin` or `decay_rate` is negative.
    """
    decay = exponential_decay(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return _after_warmup(init_value, peak_value, warmup_steps, decay)


@factory(warmup_steps=STEPS, stable_steps=STEPS, decay_steps=AT_LEAST_ONE_STEP)
def warmup_stable_decay_schedule(
    init_value: Scalar,
    peak_value: Scalar,
    warmup_steps: Scalar,
    stable_steps: Scalar,
    decay_steps: Scalar,
    end_value: Scalar = 0.0,
    shape: Literal["linear", "cosine", "1-sqrt"] = "linear",
) -> ScheduleFunction:
    """WSD: linear warm-up, then a constant, then a decay at the end of the training.

        r(t) = what is left of the decay, from 1 to 0
        f(t) = end_value + (peak_value − end_value)·d(r)
        d(r) = r,   (1 − cos(π·r)) / 2   or   1 − √(1 − r)

    A training can be continued from the end of the constant, or be ended from any of its steps by a decay of its own.

    Args:
      init_value: value at step 0.
      peak_value: value from step `warmup_steps` on, for `stable_steps`.
      warmup_steps: how many steps the line takes; 0 for none.
      stable_steps: how many steps the constant lasts.
      decay_steps: how many steps the decay takes, which is often a tenth or a fifth of all.
      end_value: value at the end.
      shape: of the decay: "linear", "cosine" or "1-sqrt".

    Raises:
      ValueError: a number of steps is negative, `decay_steps` is less than 1, or the shape is another word.

    References:
      Hu et al., MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training Strategies, 2024,
        https://arxiv.org/abs/2404.06395
      Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations, 2024,
        https://arxiv.org/abs/2405.18392
    """

    @schedule(end=stable_steps + decay_steps)
    def stay_and_decay(count):
        left = remaining(count, stable_steps, decay_steps)
        if shape == "1-sqrt":
            left = left / (1 + jnp.sqrt(completed(count, stable_steps, decay_steps)))  # 1 − √(1 − r), which cancels
        return between(peak_value, end_value, cosine(left) if shape == "cosine" else left)

    return _after_warmup(init_value, peak_value, warmup_steps, stay_and_decay)


def _after_warmup(init_value: Any, peak_value: Any, warmup_steps: Any, then: Schedule) -> ScheduleFunction:
    return join_schedules([linear_schedule(init_value, peak_value, warmup_steps), then], [warmup_steps])


@factory(
    transition_steps=AT_LEAST_ONE_STEP,
    pct_start=FRACTION,
    pct_final=FRACTION,
    div_factor=require.POSITIVE,
    final_div_factor=require.POSITIVE,
)
def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: Scalar,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 10000.0,
) -> ScheduleFunction:
    """One-cycle schedule of lines: rise, fall to where it began, then fall far below.

    The value is `peak_value / div_factor` at step 0 and at `pct_final`, `peak_value` at `pct_start`, and
    `peak_value / (div_factor · final_div_factor)` at the end.

    Args:
      transition_steps: how many steps the cycle takes.
      peak_value: the largest value.
      pct_start: when the peak is reached, as a fraction of the cycle.
      pct_final: when the second line ends, as a fraction of the cycle.
      div_factor: the peak over the first value.
      final_div_factor: the first value over the last.

    Raises:
      ValueError: an argument is out of its range, or `pct_final` is before `pct_start`.

    References:
      Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates, 2018,
      https://arxiv.org/abs/1708.07120
    """
    if pct_final < pct_start:
        raise unnamed(ValueError, f"pct_final must be at least pct_start ({pct_start}), got {pct_final}")
    low = peak_value / div_factor
    breakpoints = [
        (0, low),
        (int(pct_start * transition_steps), peak_value),
        (int(pct_final * transition_steps), low),
        (transition_steps, low / final_div_factor),
    ]
    return interpolated("linear", breakpoints)


@factory(
    transition_steps=AT_LEAST_ONE_STEP,
    pct_start=FRACTION,
    div_factor=require.POSITIVE,
    final_div_factor=require.POSITIVE,
)
def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: Scalar,
    pct_start: float = 0.3,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 10000.0,
) -> ScheduleFunction:
    """One-cycle schedule of half cosines: rise, then fall far below where it began.

    The value is `peak_value / div_factor` at step 0, `peak_value` at `pct_start`, and
    `peak_value / (div_factor · final_div_factor)` at the end. `OneCycleLR` of PyTorch has this shape.

    Args:
      transition_steps, peak_value, pct_start, div_factor, final_div_factor: as in `linear_onecycle_schedule`.

    Raises:
      ValueError: an argument is out of its range.

    References:
      Smith and Topin, 2018, https://arxiv.org/abs/1708.07120
    """
    low = peak_value / div_factor
    breakpoints = [(0, low), (int(pct_start * transition_steps), peak_value), (transition_steps, low / final_div_factor)]
    return interpolated("cosine", breakpoints)


@factory
def sgdr_schedule(cosine_kwargs: Sequence[Mapping[str, Any]]) -> ScheduleFunction:
    """SGDR, cosine decay with warm restarts: cycles of `warmup_cosine_decay_schedule`, one after another.

    Args:
      cosine_kwargs: for each cycle, the arguments of `warmup_cosine_decay_schedule` by name. The cycle lasts its
        `decay_steps`; after the last the value stays.

    Raises:
      ValueError: there is no cycle, or a cycle has arguments out of their range.

    References:
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, https://arxiv.org/abs/1608.03983
    """
    if not cosine_kwargs:
        raise ValueError("sgdr_schedule needs at least one cycle, got none")
    cycles = [warmup_cosine_decay_schedule(**kwargs) for kwargs in cosine_kwargs]
    ends = itertools.accumulate(kwargs["decay_steps"] for kwargs in cosine_kwargs)
    return join_schedules(cycles, list(ends)[:-1])
