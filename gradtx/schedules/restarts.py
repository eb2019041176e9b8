"""Cycles that follow one another, each longer than the one before by the same factor."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.schedules.formula import LAST_COUNT


def restarts(first_steps: float, growth: float) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
    """Return a function of the count that tells the index of its cycle, and how much of that cycle is left, from 1 to 0.

    The steps at which cycles begin are known beforehand, so that at any count no rounding puts it into the wrong one, as that
    of a logarithm does. A cycle that would begin between two steps begins at the second, with a part of it gone.

    Args:
      first_steps: how many steps the first cycle takes, above 0.
      growth: the steps of a cycle over those of the one before, at least 1; neither can be traced.
    """

    if growth == 1:
        return lambda count: _even(count, first_steps)

    starts, lengths = [0.0], [first_steps]
    while starts[-1] + lengths[-1] <= LAST_COUNT:
        starts.append(starts[-1] + lengths[-1])
        lengths.append(lengths[-1] * growth)
    begins = np.ceil(starts).astype(np.int32)
    late = begins - np.array(starts, float)

    def growing(count: jax.Array) -> tuple[jax.Array, jax.Array]:
        index = jnp.searchsorted(begins, count, side="right") - 1
        steps = jnp.asarray(lengths, float)[index]
        done = (count - jnp.asarray(begins)[index]).astype(float) + jnp.asarray(late, float)[index]
        return index, (steps - done) / steps

    return growing


def _even(count: jax.Array, steps: float) -> tuple[jax.Array, jax.Array]:
    duration = jnp.asarray(steps, float)
    return count // steps, (duration - (count % steps).astype(float)) / duration
