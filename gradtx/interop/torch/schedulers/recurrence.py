"""What torch's schedulers are: recurrences, which read the learning rate of a step and write that of the next.

Alone, each is a formula of the count. In a composition one finds a learning rate that others have changed, so each knows
besides how it goes on from any learning rate.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx.core import Scalar, ScheduleFunction
from gradtx.schedules.formula import schedule

Rate: TypeAlias = Any
"""A learning rate, a float or an array of them."""
Run: TypeAlias = Callable[[Rate, Any, Any], Rate]
"""`run(lr, since, until)`: the learning rate of step `until` if `lr` is that of step `since`; `lr` if they are one."""
RateFn: TypeAlias = Callable[[Rate], Rate]


class Scheduler(ScheduleFunction):
    """A schedule that can take part in a composition.

    Attributes:
      name: what it is called in errors.
      lr: the learning rate of the optimizer before; None if it is never read.
      base: that of the optimizer afterwards, its `initial_lr`, which schedulers made later begin with.
      begin: the learning rate of step 0 of what the optimizer has.
      restart: that of step 0 of what a `sequential_lr` has found.
      run: how it goes on.
      kind: "scales" if every step multiplies, "sets" if every step writes what does not depend on what it reads.
      settled: the step after which it changes nothing, or infinity.
      members: what it is composed of, if it is.
      zero: where all but this one multiply, the last step before one at which the learning rate is 0; −1 if there is none.
    """

    def __init__(self, name: str, lr: Rate, begin: RateFn, run: Run, restart: RateFn | None = None, **traits: Any):
        super().__init__(
            schedule(lambda count: run(begin(jnp.asarray(lr, float)), 0, count)),
            end=traits.get("settled"),
        )
        self.name: str = name
        self.lr: Rate = lr
        self.begin: RateFn = begin
        self.restart: RateFn = restart or begin
        self.run: Run = run
        self.base: Rate = traits.get("base", lr)
        self.kind: str | None = traits.get("kind")
        self.settled: float = traits.get("settled", math.inf)
        self.members: Sequence[Scheduler] = traits.get("members", ())
        self.zero: Callable[[Any], Any] | None = traits.get("zero")


def scaling(
    name: str,
    lr: Rate,
    growth: Callable[[Any, Any], Any],
    first: Scalar = 1.0,
    restart: RateFn | None = None,
    settled: float = math.inf,
) -> Scheduler:
    """Make a scheduler that multiplies: by `first` at step 0, and by `growth(since, until)` from one step to another."""
    return Scheduler(
        name,
        lr,
        lambda found: found * first,
        lambda found, since, until: found * growth(since, until),
        restart or (lambda found: lr * first),
        kind="scales",
        settled=settled,
    )


def setting(name: str, lr: Rate, value: Callable[[Any], Any], base: Rate = None) -> Scheduler:
    """Make a scheduler that writes `value(count)`, whatever it reads."""

    def run(found: Rate, since: Any, until: Any) -> Rate:
        return jnp.where(until > since, value(until), found)

    scheduler = Scheduler(
        name, lr, lambda found: value(jnp.zeros((), jnp.int32)), run, kind="sets", base=lr if base is None else base
    )
    scheduler.__wrapped__ = schedule(value)
    return scheduler


def stepped(step: Callable[[Rate, jax.Array], Rate], lr: Rate, since: Any, until: Any) -> jax.Array:
    """Run a recurrence `step(lr, count)` from step `since` to step `until`, one after another."""
    lr, since, until = jnp.broadcast_arrays(jnp.asarray(lr, float), since, until)

    def body(count: jax.Array, lr: jax.Array) -> jax.Array:
        taken = (since < count) & (count <= until)
        return jnp.where(taken, step(lr, count), lr).astype(lr.dtype)

    last = jnp.max(until, initial=0)
    first = jnp.min(since, initial=jnp.iinfo(jnp.int32).max).astype(last.dtype)
    return lax.fori_loop(jnp.minimum(first, last) + 1, last + 1, body, lr)


def power(factor: Any, exponent: Any) -> jax.Array:
    """Return factor^exponent; of a number, what its dtype cannot hold counts too: raised to the millionth it is seen."""
    exponent = jnp.asarray(exponent).astype(float)
    if not (isinstance(factor, int | float) and factor > 0):
        return jnp.asarray(factor, float) ** exponent
    rounded = float(np.asarray(factor, exponent.dtype))
    return rounded**exponent * jnp.exp(exponent * math.log(factor / rounded))
