"""What the schedules are made of: a formula of the count, and how far a transition has come."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import require
from gradtx.core import Schedule, ScheduleFunction

ANY_STEPS = require.Range(infinite=True)
STEPS = require.Range(low=0, infinite=True)
AT_LEAST_ONE_STEP = require.Range(low=1, infinite=True)
LAST_COUNT = 2**31 - 1
"""What an int32 counter can count."""
COUNTABLE = require.Range(low=0, high=LAST_COUNT)
COUNTABLE_FROM_ONE = require.Range(low=1, high=LAST_COUNT)
FRACTION = require.Range(low=0, high=1)


@overload
def schedule(formula: Callable[[jax.Array], Any], /) -> ScheduleFunction: ...
@overload
def schedule(*, end: Any) -> Callable[[Callable[[jax.Array], Any]], ScheduleFunction]: ...
def schedule(formula: Any = None, /, *, end: Any = None) -> Any:
    """Make a schedule of a formula: of a count of any kind it makes floats of the default dtype, in the shape of the count.

    Args:
      formula: a function of the count, an array.
      end: the step from which on it stays as it is, if there is one and it is known.
    """
    if formula is None:
        return functools.partial(schedule, end=end)

    def value_at(count: Any) -> jax.Array:
        # Counts and traced hyperparameters have dtypes of their own, which strict promotion would refuse to mix.
        with jax.numpy_dtype_promotion("standard"):
            count = jnp.asarray(count)
            value = jnp.asarray(formula(count), float)
            return jnp.broadcast_arrays(value, count)[0]

    return ScheduleFunction(value_at, end=end if isinstance(end, int | float | np.number) else None)


def end_of(schedule: Schedule) -> Any:
    """Return the step from which on a schedule stays as it is; None if that is not known, or never."""
    return getattr(schedule, "end", None)


def end_after(begin: Any, schedule: Schedule) -> Any:
    """Return the step from which on a schedule stays as it is that begins at a step; None as for `end_of`."""
    end = end_of(schedule)
    return None if end is None else begin + end


def last_of(steps: Iterable[Any]) -> Any:
    """Return the largest of some steps, 0 of none; None if one of them is traced."""
    steps = list(steps)
    return max(steps, default=0) if all(isinstance(step, int | float | np.number) for step in steps) else None


def countable(steps: Any) -> Any:
    """Return a number of steps that can be compared with a count: a float if no int32 holds it, and a finite one."""
    if isinstance(steps, int | float | np.integer | np.floating) and abs(steps) > LAST_COUNT:
        return float(max(-1e30, min(steps, 1e30)))
    return steps


def elapsed(count: jax.Array, begin: Any) -> jax.Array:
    """Return the steps since `begin`, 0 before; subtracted as integers, because float32 is not exact beyond 2²⁴."""
    begin = countable(begin)
    return jnp.maximum(count, begin) - begin


def remaining(count: jax.Array, begin: Any, steps: Any) -> jax.Array:
    """Return what is left of a transition: 1 until `begin`, 0 from `begin + steps` on; always 1 if it takes 0 steps or fewer.

    It is exact near 0, where 1 − elapsed/steps would cancel.
    """
    done, duration = _done(count, begin, steps)
    # Compiled, a division by a constant is a product with its reciprocal, and x·(1/x) need not be 1.
    return jnp.where(done > 0, jnp.minimum((duration - done) / duration, 1), 1)


def completed(count: jax.Array, begin: Any, steps: Any) -> jax.Array:
    """Return 1 − `remaining`, exact near 0 where that cancels: a warm-up of a million steps begins with a millionth."""
    done, duration = _done(count, begin, steps)
    return jnp.where(done < duration, jnp.maximum(done, 0) / duration, 1)


def _done(count: jax.Array, begin: Any, steps: Any) -> tuple[jax.Array, Any]:
    """The steps of a transition that were taken, and how many there are, at least one."""
    steps = countable(steps)
    return jnp.minimum(elapsed(count, begin).astype(float), steps), jnp.where(steps > 0, steps, 1)


def cosine(left: jax.Array) -> jax.Array:
    """Return (1 − cos(π·left)) / 2, half a wave that falls from 1 to 0 with `left`; as sin², which does not cancel."""
    return jnp.square(jnp.sin(jnp.pi / 2 * left))


def between(start: Any, end: Any, weight: Any, rest: Any = None) -> jax.Array:
    """Return the mean of `start`, with a weight, and `end`, with the rest; exact at weights 1 and 0.

    The rest is given where 1 − weight would lose its digits and `end` be the larger: at the beginning of a warm-up.
    """
    return weight * start + (1 - weight if rest is None else rest) * end
