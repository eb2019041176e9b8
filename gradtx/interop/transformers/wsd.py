"""The schedule of transformers.optimization that warms up, stays, and decays."""

import numbers
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.core import Scalar, Schedule, factory
from gradtx.errors import warn
from gradtx.interop.transformers.phases import at_least_one, waves
from gradtx.schedules.formula import COUNTABLE, between, cosine, elapsed, schedule

Shape = Literal["linear", "cosine", "1-sqrt"]

# Of what is done of the warm-up, as a fraction, and of what is left of it.
RISES: Mapping[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "linear": lambda done, left: done,
    "cosine": lambda done, left: cosine(done),
    "1-sqrt": lambda done, left: done / (1 + jnp.sqrt(left)),  # 1 − √left, which cancels
}


@factory(
    num_warmup_steps=COUNTABLE,
    num_decay_steps=COUNTABLE,
    num_training_steps=COUNTABLE,
    num_stable_steps=COUNTABLE,
    min_lr_ratio=require.NONNEGATIVE,
    num_cycles=require.NONNEGATIVE,
)
def get_wsd_schedule(
    lr: Scalar,
    num_warmup_steps: Scalar,
    num_decay_steps: Scalar,
    num_training_steps: Scalar | None = None,
    num_stable_steps: Scalar | None = None,
    warmup_type: Shape = "linear",
    decay_type: Shape = "cosine",
    min_lr_ratio: Scalar = 0,
    num_cycles: Scalar = 0.5,
) -> Schedule:
    """Rise, stay, then fall to where the rise began: to `min_lr_ratio` times `lr`.

        rise from 0 to 1 with s from 0 to 1:   s,   (1 − cos(π·s)) / 2,                1 − √(1 − s)
        fall from 1 to 0:                  1 − s,   (1 + cos(2π·num_cycles·s)) / 2,    1 − √s

    Args:
      lr: the largest value.
      num_warmup_steps: how many steps the rise takes; 0 for none.
      num_decay_steps: how many steps the fall takes.
      num_training_steps: how many steps all take together, if `num_stable_steps` is not given.
      num_stable_steps: how many steps the value stays; if given, it counts, and not `num_training_steps`.
      warmup_type: "linear", "cosine" or "1-sqrt".
      decay_type: "linear", "cosine" or "1-sqrt".
      min_lr_ratio: where the value begins and ends, as a fraction of `lr`.
      num_cycles: how many waves the fall along a cosine has; 0.5 is one fall.

    Raises:
      ValueError: neither of `num_training_steps` and `num_stable_steps` is given, a type is another word, or a number is out
        of its range.

    Warns:
      UserWarning: both numbers of steps are given, and they disagree.

    References:
      Hu et al., MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training Strategies, 2024,
      https://arxiv.org/abs/2404.06395
    """
    if num_stable_steps is None:
        if num_training_steps is None:
            raise ValueError("get_wsd_schedule takes num_training_steps or num_stable_steps, got neither.")
        fall_begin = num_training_steps - num_decay_steps
    else:
        fall_begin = num_warmup_steps + num_stable_steps
        _warn_of_another_end(fall_begin + num_decay_steps, num_training_steps)

    def rise(count):
        return _risen(warmup_type, jnp.minimum(count, num_warmup_steps), num_warmup_steps)

    def fall(count):
        if decay_type == "cosine":
            return waves(count, fall_begin, num_decay_steps, num_cycles)
        return _risen(decay_type, num_decay_steps - elapsed(count, fall_begin), num_decay_steps)

    @schedule
    def formula(count):
        warming, decaying = count < num_warmup_steps, count < fall_begin + num_decay_steps
        height = jnp.where(warming, rise(count), 1)
        height = jnp.where(warming | (count < fall_begin), height, jnp.where(decaying, fall(count), 0))
        return lr * between(1, min_lr_ratio, height)

    return formula


def _risen(shape: Shape, done: jax.Array, steps: Any) -> jax.Array:
    steps = at_least_one(steps)
    return RISES[shape](done / steps, (steps - done) / steps)


def _warn_of_another_end(end: Any, num_training_steps: Any) -> None:
    if isinstance(end, numbers.Real) and isinstance(num_training_steps, numbers.Real) and end != num_training_steps:
        warn(
            f"get_wsd_schedule: warm-up, num_stable_steps and decay take {end} steps, not the {num_training_steps} of "
            "num_training_steps, which is not used."
        )
