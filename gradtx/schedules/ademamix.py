"""The warm-ups of AdEMAMix: of the weight of its slow mean, and of that mean's decay (Pagliardini et al. 2024)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.core import Scalar, ScheduleFunction, factory
from gradtx.numerics import safe_increment
from gradtx.schedules.formula import AT_LEAST_ONE_STEP, completed, remaining, schedule

_AUTHORS_EPS = 1e-8  # which their code adds to a decay, of which it takes the logarithm


@factory(warmup_steps=AT_LEAST_ONE_STEP)
def ademamix_weight_schedule(alpha: Scalar, warmup_steps: Scalar) -> ScheduleFunction:
    """AdEMAMix's warm-up of the weight of the slow mean: a line.

        f(t) = alpha·min((t + 1) / warmup_steps, 1)        t = 0 at the first step

    Args:
      alpha: the weight at the end.
      warmup_steps: T, how many steps there are until then; the paper takes all steps of the training.

    Raises:
      ValueError: `warmup_steps` is less than 1.

    References:
      Pagliardini, Ablin and Grangier, The AdEMAMix Optimizer: Better, Faster, Older, 2024, https://arxiv.org/abs/2409.03137
    """

    @schedule(end=warmup_steps - 1)
    def formula(count: jax.Array) -> Any:
        return alpha * completed(safe_increment(count), 0, warmup_steps)

    return formula


@factory(warmup_steps=AT_LEAST_ONE_STEP)
def ademamix_decay_schedule(b1: Scalar, b3: Scalar, warmup_steps: Scalar) -> ScheduleFunction:
    """AdEMAMix's warm-up of the decay of the slow mean: from b1 to b3, linear in the half-life.

        h(b) = ln ½ / ln b − 1                                   after how many steps half of a gradient is forgotten
        a = min((t + 1) / warmup_steps, 1)                       t = 0 at the first step
        f(t) = ½^(1 / ((1−a)·h(b1) + a·h(b3) + 1))

    A decay that rose in a line would remember for long in the very last steps alone.

    Args:
      b1: the decay at the beginning, that of the fast mean.
      b3: the decay at the end.
      warmup_steps: T, how many steps there are until then; the paper takes all steps of the training.

    Raises:
      ValueError: a decay is not in [0, 1), or `warmup_steps` is less than 1.

    Conventions:
      As in the authors' code, h is that of b + 1e-8.

    References:
      Pagliardini, Ablin and Grangier, The AdEMAMix Optimizer: Better, Faster, Older, 2024, https://arxiv.org/abs/2409.03137
    """

    @schedule(end=warmup_steps - 1)
    def formula(count: jax.Array) -> Any:
        next_count = safe_increment(count)
        left, done = remaining(next_count, 0, warmup_steps), completed(next_count, 0, warmup_steps)
        decay = 0.5 ** (1 / (left * _half_life(b1) + done * _half_life(b3)))
        return jnp.where(left > 0, decay, b3)

    return formula


def _half_life(decay: Scalar) -> Any:
    """After how many steps half of a gradient is forgotten."""
    # Of Python's numbers in float64: in float32 ln 0.9999 has three digits.
    log = np.log if isinstance(decay, int | float) else jnp.log
    return float(np.log(0.5)) / log(decay + _AUTHORS_EPS)
