"""What transformations that hold others tell of themselves: what they hand on, and what is inside."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax.numpy as jnp

from gradtx.core.extra_args import keywords, only
from gradtx.core.protocol import GradientTransformation, GradientTransformationExtraArgs, OptState, Params, Schedule, Updates
from gradtx.errors import named

_R = TypeVar("_R")


class Part(NamedTuple):
    """A transformation inside of another, its name there, if it has one, and its part of the state."""

    name: Any
    tx: GradientTransformation
    state: OptState


class Inside(NamedTuple):
    """What a wrapper tells of itself, as functions of its state; `seen` is one of the parameters.

    - `parts`: what it wraps;
    - `seen`: for each part the parameters that it sees, with holes in the place of the others; None for all of them;
    - `count`: the step at which it evaluates a schedule of its own; None means the first integer in its state;
    - `steps`: how many steps it has taken, for a wrapper that takes one in some of its updates only; None for all others;
    - `follows`: schedules of its own making, each after the argument of its factory that was left out for it;
    - `adjust`: the state with other hyperparameters, for a wrapper that keeps those of its part in the state (and whose part
      is made anew with these); None for all others. Its arguments are the state, new values by path, and whether they override
      schedules.
    """

    parts: Callable[[OptState], list[Part]] = lambda state: []
    seen: Callable[[Params], list[Params]] | None = None
    count: Callable[[OptState], Any] | None = None
    steps: Callable[[OptState], Any] | None = None
    follows: tuple[tuple[str, Schedule], ...] = ()
    adjust: Callable[[OptState, Mapping[str, Any], bool], OptState] | None = None


def inside(tx: GradientTransformation) -> Inside:
    """Return what a transformation tells of what is inside; of one from another library that is nothing."""
    return getattr(tx.update, "inside", Inside())


def if_stepped(tx: GradientTransformation, before: OptState, after: OptState) -> Callable[[Any, Any], Any]:
    """Return what chooses the first of two arrays after an update that was a step, and else the second.

    It was none where something inside that sees all parameters, such as `MultiSteps`, waits for more gradients.

    Args:
      tx: a transformation.
      before: its state before the update.
      after: its state after it.
    """
    taken, now = (_steps_taken(supported(tx), state) for state in (before, after))
    return (lambda new, old: new) if taken is None else lambda new, old: jnp.where(taken != now, new, old)


def _steps_taken(tx: GradientTransformation, state: OptState) -> Any:
    tells = inside(tx)
    if tells.steps is not None:
        return tells.steps(state)
    if tells.seen is not None:
        return None
    taken = (_steps_taken(part.tx, part.state) for part in tells.parts(state))
    return next((steps for steps in taken if steps is not None), None)


def declared_extra_args(update: Callable[..., Any]) -> frozenset[str]:
    """The extra arguments that `update` reads; `ANYTHING` is among them if it takes any (`**extra` from outside gradtx)."""
    return vars(update)["extra_args"] if hasattr(update, "extra_args") else keywords(update, after=3)


def forwards_to(
    *inners: GradientTransformation,
    extra_args: frozenset[str] = frozenset(),
    states: Callable[[Any], Iterable[OptState] | Mapping[Any, OptState]] = lambda state: (state.inner_state,),
    **tells: Any,
) -> Callable[[_R], _R]:
    """Mark the `update` of a wrapper: it hands the extra arguments it is given on to `inners`, whose states it keeps.

    Args:
      *inners: what it wraps.
      extra_args: what it reads besides, such as the arguments of a function that it was given; `ANYTHING` may be one of them.
      states: picks the states of `inners` out of that of the wrapper; a mapping gives each a name, too.
      **tells: what else it tells of itself, and what it tells otherwise; see `Inside`.
    """

    def parts(state: OptState) -> list[Part]:
        inner_states = states(state)
        named = inner_states.items() if isinstance(inner_states, Mapping) else ((None, each) for each in inner_states)
        return [Part(name, supported(inner), each) for inner, (name, each) in zip(inners, named, strict=True)]

    def mark(update: Any) -> Any:
        own = inspect.signature(update).parameters.values()
        names = frozenset(p.name for p in own if p.kind is p.KEYWORD_ONLY)
        declared = names.union(extra_args, *(declared_extra_args(inner.update) for inner in inners))
        attach(update, extra_args=declared, inside=Inside(**{"parts": parts, **tells}))
        return update

    return mark


def supported(tx: GradientTransformation) -> GradientTransformation:
    """What was given to `with_extra_args_support`."""
    return getattr(tx.update, "supports", tx)


def with_extra_args_support(tx: GradientTransformation) -> GradientTransformationExtraArgs:
    """Let `tx.update` be given any extra argument: it gets those it reads, the others are dropped.

    Wrappers use it on what they wrap, which may come from another library: all that is asked of `tx` is an `init` and an
    `update`.
    """
    if not is_transformation(tx):
        raise named(TypeError, None, f"a gradient transformation has an init and an update; got {not_a_transformation(tx)}.")
    names = declared_extra_args(tx.update)

    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        return tx.update(updates, state, params, **only(names, extra_args))

    attach(update, extra_args=names, supports=tx)
    return GradientTransformationExtraArgs(tx.init, update)


def is_transformation(thing: Any) -> bool:
    """Return whether something has an `init` and an `update`, which is all that the protocol asks for."""
    return callable(getattr(thing, "init", None)) and callable(getattr(thing, "update", None))


def not_a_transformation(thing: Any) -> str:
    """Return what was given in the place of a transformation, and what to write instead."""
    if inspect.isfunction(thing):
        return f"the function {thing.__name__}. If it makes one, call it: {thing.__name__}(...)"
    if isinstance(thing, tuple | list):
        return f"{thing!r}. Members are handed over one by one: chain(*members)"
    return repr(thing)


def attach(function: Callable[..., Any], **attributes: Any) -> None:
    """Let a function tell something of itself."""
    vars(function).update(attributes)
