"""torch's OneCycleLR: the learning rate, and the momentum that it cycles the other way."""

import itertools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.core import Scalar, Schedule, factory
from gradtx.errors import unnamed
from gradtx.interop.torch.schedulers.cyclic import require_momentum
from gradtx.interop.torch.schedulers.recurrence import Scheduler, setting
from gradtx.schedules.formula import AT_LEAST_ONE_STEP, FRACTION, between, cosine, schedule

_RANGES = {
    "total_steps": AT_LEAST_ONE_STEP,
    "epochs": AT_LEAST_ONE_STEP,
    "steps_per_epoch": AT_LEAST_ONE_STEP,
    "pct_start": FRACTION,
    "div_factor": require.POSITIVE,
    "final_div_factor": require.POSITIVE,
}


@factory(**_RANGES)
def one_cycle_lr(
    max_lr: Scalar,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Scheduler:
    """Rise from max_lr / div_factor to `max_lr`, then fall far below where it began, as OneCycleLR.

    The highest is at step `pct_start · total_steps − 1`, where gradtx's own `cosine_onecycle_schedule` has it one step later,
    and the lowest, max_lr / (div_factor · final_div_factor), at `total_steps − 1`. torch refuses to go on after step
    `total_steps`, which it extrapolates; here the lowest stays from then on.

    Args:
      max_lr: the highest.
      total_steps: how many steps there are; or else give `epochs` and `steps_per_epoch`, whose product they are.
      epochs, steps_per_epoch: see `total_steps`.
      pct_start: which fraction of the steps the rise takes.
      anneal_strategy: "cos" for half cosines, "linear" for lines.
      cycle_momentum, base_momentum, max_momentum: not read here: see `one_cycle_momentum`.
      div_factor: the highest over the first.
      final_div_factor: the first over the last.
      three_phase: whether it comes back to where it began, in as many steps, before it falls below.

    Raises:
      ValueError: neither `total_steps` nor `epochs` and `steps_per_epoch` are given, or an argument is out of its range.

    References:
      Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates, 2018,
      https://arxiv.org/abs/1708.07120
    """
    del cycle_momentum, base_momentum, max_momentum
    ends = _ends(total_steps, epochs, steps_per_epoch, pct_start, anneal_strategy, three_phase)
    first = max_lr / div_factor
    last = first / final_div_factor
    levels = [first, max_lr, first, last] if three_phase else [first, max_lr, last]
    return setting("one_cycle_lr", None, lambda count: _annealed(anneal_strategy, ends, levels, count), base=first)


@factory(**_RANGES)
def one_cycle_momentum(
    max_lr: Scalar,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Schedule:
    """Return the momentum that falls where `one_cycle_lr` of the same arguments rises, and rises where it falls.

    Give it to an optimizer as `momentum=`, or as the first of `betas=`.

    Args:
      max_lr, div_factor, final_div_factor: not read.
      total_steps, epochs, steps_per_epoch, pct_start, anneal_strategy: as in `one_cycle_lr`.
      cycle_momentum: True; otherwise torch leaves the optimizer its momentum, which is a number.
      base_momentum: the lowest.
      max_momentum: the highest, at the first step and the last.
      three_phase: see `one_cycle_lr`; the momentum stays in the third phase.

    Raises:
      ValueError: as for `one_cycle_lr`, or `cycle_momentum` is False.
    """
    del max_lr, div_factor, final_div_factor
    require_momentum(cycle_momentum)
    ends = _ends(total_steps, epochs, steps_per_epoch, pct_start, anneal_strategy, three_phase)
    levels = [max_momentum, base_momentum, max_momentum, max_momentum][: len(ends) + 1]
    return schedule(lambda count: _annealed(anneal_strategy, ends, levels, count))


def _ends(
    total_steps: Any, epochs: Any, steps_per_epoch: Any, pct_start: Any, anneal_strategy: str, three_phase: bool
) -> list[float]:
    """The steps at which the phases end, as torch computes them."""
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            raise unnamed(ValueError, "give total_steps, or epochs and steps_per_epoch.")
        total_steps = epochs * steps_per_epoch
    rise = float(pct_start * total_steps) - 1
    ends = [rise, *([float(2 * pct_start * total_steps) - 2] if three_phase else []), float(total_steps - 1)]
    if ends[0] == 0:
        raise unnamed(
            ValueError, f"a rise of {pct_start} · {total_steps} steps ends at the step where it begins; torch divides by 0."
        )
    return ends


def _annealed(anneal_strategy: str, ends: list[float], levels: list[Any], count: jax.Array) -> jax.Array:
    """The value of a step on the way from level to level; beyond the step after the last, the last level."""
    value = levels[-1]
    phases = zip(itertools.pairwise([0.0, *ends]), itertools.pairwise(levels), strict=True)
    for k, ((begin, end), (start, stop)) in reversed(list(enumerate(phases))):
        left = _until(end, count) / (end - begin or 1.0)
        weight = cosine(left) if anneal_strategy == "cos" else left
        within = count <= (math.floor(end) if k < len(ends) - 1 else math.floor(end) + 1)
        value = jnp.where(within, between(start, stop, weight), value)
    return jnp.asarray(value)


def _until(end: float, count: jax.Array) -> jax.Array:
    """end − count, as integers as far as they go: a float32 is not exact beyond 2²⁴."""
    return (math.floor(end) - count).astype(float) + (end - math.floor(end))
