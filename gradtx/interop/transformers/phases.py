"""What the schedules of transformers are made of: a warm-up along a line, and waves of a cosine after it."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.schedules.formula import cosine, elapsed


def warmed_up(count: jax.Array, num_warmup_steps: Any, then: Any) -> jax.Array:
    """Rise from 0 at the first step along a line that reaches 1 after `num_warmup_steps`; return `then` from there on."""
    return jnp.where(count < num_warmup_steps, count / at_least_one(num_warmup_steps), then)


def waves(count: jax.Array, begin: Any, steps: Any, num_cycles: Any) -> jax.Array:
    """Return (1 + cos(2π·num_cycles·t)) / 2 with t the steps since `begin` in units of `steps`; it never ends.

    Whole waves are taken off before the division, so that it is exact where it is 0 or 1, at any count.
    """
    steps = at_least_one(steps)
    phase = jnp.mod(num_cycles * elapsed(count, begin).astype(float), steps)
    return cosine((steps - 2 * phase) / steps)


def at_least_one(steps: Any) -> jax.Array:
    """Return a number of steps as a float that can be divided by; a quotient of integers may be of float32 in any case."""
    return jnp.maximum(1, steps).astype(float)
