"""What a transformation tells of itself, in one record: its name, the extra arguments it reads, what is inside of it."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.core.extra_args import ANYTHING, keywords, only
from gradtx.core.protocol import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Schedule,
    Transformation,
    Updates,
)
from gradtx.errors import unnamed
from gradtx.signatures import arguments_of
from gradtx.tree.dtypes import widened
from gradtx.tree.quantized import Format

_R = TypeVar("_R")


class Part(NamedTuple):
    """A transformation inside of another, its name there, if it has one, and its part of the state."""

    name: Any
    tx: GradientTransformation
    state: OptState


class Decay(NamedTuple):
    """That of an average in a state: the field of the average, what the decay is called, and its value."""

    field: str
    name: str
    value: Any


class Run(Protocol):
    """An update whose arguments were checked already, by whoever holds the transformation."""

    def __call__(
        self, updates: Updates, state: OptState, params: Params | None, extra_args: dict[str, Any], /
    ) -> tuple[Updates, OptState]: ...


class Description(NamedTuple):
    """What a transformation tells of itself. Of one from another library nothing is known, which is the default.

    - `name`: of the factory that made it, for errors; None for a pair that no factory has made;
    - `extra_args`: those that `update` reads; `ANYTHING` is among them if it takes any;
    - `requires`: what `update` cannot do without, `"params"` or an extra argument, with the name of what reads it;
    - `own`: the pair as its factory has written it, without the contract of arguments;
    - `run`: its update for a chain that has checked the arguments of all its members;
    - `stands_for`: the pair of another library that it hands everything on to;
    - `decays`: those of the averages in its state, as far as there is a name for them;
    - `precise`: the fields of its state that a few bits do not hold: parameters, of which each update would be another, what
      small differences are taken of, and sums of many;
    - `norm_of_all`: whether it takes the norm of all that it sees at once;
    - `freezes`: whether its updates are zero;
    - `keeps_updates`: whether its updates are those that it is given;
    - `widens`: whether its updates are float32 whatever the dtype of the gradients, as more than 16 bits are in them;
    - `whole_matrices`: whether it works on whole matrices, or a part of it does, which devices divide among them if it is known
      how these are split;
    - `update_size`: how large an entry of its updates is, about or at most, whatever the size of the gradients; None if it
      depends;
    - `factor`: what it multiplies that size by, a number or a schedule; None for 1 if it has an `update_size` or parts, else
      if it depends;
    - `quantizes`: how the quantized arrays in its state are coded.

    Wrappers tell more, mostly as functions of their state; `seen` is one of the parameters:

    - `wraps`: whether it is known by what is inside of it, as a chain is, but not an optimizer that is made as one;
    - `parts`: what it wraps;
    - `seen`: for each part the parameters that it sees, with holes instead of the others; None for all of them;
    - `lays_out`: whether it says to its part how the parameters are split among devices;
    - `count`: the step at which it evaluates a schedule of its own; None means the first integer in its state;
    - `steps`: how many steps it has taken, for a wrapper that takes one in some of its updates only; None for all others;
    - `follows`: schedules of its own making, each after the argument of its factory that was left out for it;
    - `adjust`: the state with other hyperparameters, for a wrapper that keeps those of its part in the state (and whose part
      is made again with these); None for all others. Its arguments are the state, new values by path, and whether they
      override schedules.
    """

    name: str | None = None
    extra_args: frozenset[str] = frozenset()
    requires: tuple[tuple[str, str], ...] = ()
    own: tuple[Callable[..., Any], Callable[..., Any]] | None = None
    run: Run | None = None
    stands_for: Transformation | None = None
    decays: tuple[Decay, ...] = ()
    precise: tuple[str, ...] = ()
    norm_of_all: bool = False
    freezes: bool = False
    keeps_updates: bool = False
    widens: bool = False
    whole_matrices: bool = False
    update_size: Any = None
    factor: Any = None
    quantizes: Format | None = None
    wraps: bool = False
    parts: Callable[[OptState], list[Part]] = lambda state: []
    seen: Callable[[Params], list[Params]] | None = None
    lays_out: bool = False
    count: Callable[[OptState], Any] | None = None
    steps: Callable[[OptState], Any] | None = None
    follows: tuple[tuple[str, Schedule], ...] = ()
    adjust: Callable[[OptState, Mapping[str, Any], bool], OptState] | None = None

    @property
    def stores_hyperparameters(self) -> bool:
        """Whether it keeps the hyperparameters of what it wraps in its state: its one part is that as it is at present."""
        return self.adjust is not None


def description(tx: Transformation) -> Description:
    """Return what a transformation tells of itself."""
    told = description_of(tx.update)
    # A signature `(*args, **kwargs)`, as wrapped functions have it, says nothing: then the kind of the pair does, as in Optax.
    if ANYTHING in told.extra_args and type(tx).__name__ == "GradientTransformation" and not arguments_of(tx.update).positional:
        return Description()
    return told


def description_of(update: Callable[..., Any]) -> Description:
    """Return what an `update` tells of its transformation; of a foreign one only the extra arguments in its signature."""
    told = getattr(update, "description", None)
    return told if isinstance(told, Description) else Description(extra_args=keywords(update, after=3))


def describe(update: _R, told: Description) -> _R:
    """Let an `update` tell of its transformation."""
    vars(update)["description"] = told
    return update


def tells(
    *,
    decays: Mapping[str, tuple[str, Any]] = MappingProxyType({}),
    precise: tuple[str, ...] = (),
    norm_of_all: bool = False,
    freezes: bool = False,
    keeps_updates: bool = False,
    whole_matrices: bool = False,
    update_size: Any = None,
    factor: Any = None,
) -> Callable[[_R], _R]:
    """Mark an `update` with what is to be known of its transformation, see `Description`.

    Args:
      decays: name and value of the decay of each average, by its field in the state.
      precise: the fields of the state that a few bits do not hold.
      norm_of_all: whether it takes the norm of all that it sees at once.
      freezes: whether its updates are zero.
      keeps_updates: whether its updates are those that it is given, and so a `factor` of 1.
      whole_matrices: whether it works on whole matrices.
      update_size: how large an entry of its updates is.
      factor: what it multiplies them by.
    """

    def mark(update: Any) -> Any:
        told = description_of(update)
        found = tuple(Decay(field, *decay) for field, decay in decays.items())
        told = told._replace(decays=found, precise=precise, norm_of_all=norm_of_all)
        told = told._replace(freezes=freezes, keeps_updates=keeps_updates, whole_matrices=whole_matrices)
        return describe(update, told._replace(update_size=update_size, factor=1.0 if keeps_updates else factor))

    return mark


def declared_extra_args(update: Callable[..., Any]) -> frozenset[str]:
    """The extra arguments that `update` reads; `ANYTHING` is among them if it takes any (`**extra` from outside gradtx)."""
    return description_of(update).extra_args


def no_updates(inner: Transformation, updates: Updates) -> Updates:
    """Return zeros for a step that `inner` does not take, in the dtypes of its updates."""
    return jax.tree.map(jnp.zeros_like, as_wide_as_updates_of(inner, updates))


def as_wide_as_updates_of(inner: Transformation, updates: Updates) -> Updates:
    """Return updates in the dtypes in which `inner` returns those that it makes of them."""
    return jax.tree.map(widened, updates) if description(inner).widens else updates


def refuse_exact(*inners: Transformation) -> None:
    """Raise `ValueError` if one of those whose updates will be changed makes steps from one 16-bit parameter to the next."""
    for inner in inners:
        if description(inner).widens:
            raise unnamed(
                ValueError,
                f"it changes the updates of {inner!r}, which are exact steps of 16-bit parameters. "
                "Put what makes these, such as compensated, around all else.",
            )


def if_stepped(tx: Transformation, before: OptState, after: OptState) -> Callable[[Any, Any], Any]:
    """Return what chooses the first of two arrays after an update that was a step, and else the second.

    It was none where all parameters wait for more gradients: something inside that sees all of them, such as `MultiSteps`, or
    what each group of them has.

    Args:
      tx: a transformation.
      before: its state before the update.
      after: its state after it.
    """
    taken, now = (_steps_taken(supported(tx), state) for state in (before, after))
    return (lambda new, old: new) if taken is None else lambda new, old: jnp.where(taken != now, new, old)


def _steps_taken(tx: Transformation, state: OptState) -> Any:
    told = description(tx)
    if told.steps is not None:
        return told.steps(state)
    if told.seen is not None:
        return None
    taken = (_steps_taken(part.tx, part.state) for part in told.parts(state))
    return next((steps for steps in taken if steps is not None), None)


def steps_of_groups(parts: Iterable[Part]) -> Any:
    """Return how many steps groups of parameters have taken together; None if one that moves takes a step in each update."""
    taken = [_steps_taken(part.tx, part.state) for part in parts if not description(part.tx).freezes]
    return None if not taken or any(steps is None for steps in taken) else sum(taken)


def forwards_to(
    *inners: Transformation,
    extra_args: frozenset[str] = frozenset(),
    states: Callable[[Any], Iterable[OptState] | Mapping[Any, OptState]] = lambda state: (state.inner_state,),
    parts: Callable[[Any], list[Part]] | None = None,
    seen: Callable[[Params], list[Params]] | None = None,
    count: Callable[[Any], Any] | None = None,
    steps: Callable[[Any], Any] | None = None,
    adjust: Callable[[Any, Mapping[str, Any], bool], OptState] | None = None,
    wraps: bool = True,
    changes_updates: bool = False,
    widens: bool = False,
    whole_matrices: bool = False,
    lays_out: bool = False,
    quantizes: Format | None = None,
) -> Callable[[_R], _R]:
    """Mark the `update` of a wrapper: it hands the extra arguments it is given on to `inners`, whose states it keeps.

    Args:
      *inners: what it wraps.
      extra_args: what it reads besides, such as the arguments of a function that it was given; `ANYTHING` may be one of them.
      states: picks the states of `inners` out of that of the wrapper; a mapping gives each a name, too.
      parts: instead of `states`, the parts as a function of the state.
      seen: see `Description`, as all that follows.
      count: the step at which it evaluates a schedule of its own.
      steps: how many steps it has taken.
      adjust: the state with other hyperparameters.
      wraps: whether it is known by what is inside of it.
      changes_updates: whether it makes others of the updates of `inners`, which must not be exact steps of 16-bit parameters.
      widens: whether it makes float32 updates, too, if no part of it does.
      whole_matrices: whether it works on whole matrices, too, if no part of it does.
      lays_out: whether it says how the parameters are split among devices.
      quantizes: how it codes its arrays.

    Raises:
      ValueError: it changes updates that must stay as they are.
    """
    if changes_updates:
        refuse_exact(*inners)

    def parts_by_state(state: OptState) -> list[Part]:
        inner_states = states(state)
        named = inner_states.items() if isinstance(inner_states, Mapping) else ((None, each) for each in inner_states)
        return [Part(name, supported(inner), each) for inner, (name, each) in zip(inners, named, strict=True)]

    def mark(update: Any) -> Any:
        names = arguments_of(update).keyword_only.union(extra_args, *(declared_extra_args(inner.update) for inner in inners))
        wide = widens or any(description(inner).widens for inner in inners)
        on_matrices = whole_matrices or any(description(inner).whole_matrices for inner in inners)
        told = Description(
            extra_args=names, wraps=wraps, widens=wide, whole_matrices=on_matrices, parts=parts or parts_by_state
        )
        own = told._replace(seen=seen, lays_out=lays_out, count=count, steps=steps, adjust=adjust, quantizes=quantizes)
        return describe(update, own)

    return mark


def described(tx: Transformation, state: OptState) -> Iterator[tuple[Description, OptState]]:
    """Yield what a transformation, and each that is inside of it, tells of itself, with its part of the state."""
    told = description(supported(tx))
    yield told, state
    for part in told.parts(state):
        yield from described(part.tx, part.state)


def told_apart(tx: Transformation, state: OptState) -> tuple[OptState, Callable[[Any], bool]]:
    """Return a fresh state, and what tells of an array in it whether it is precise, see `Description`."""
    # While it is traced, one zero may stand for several arrays.
    state = jax.tree.map(lambda x: jnp.copy(x) if isinstance(x, Tracer) else x, state)
    fields = [getattr(part, field) for told, part in described(tx, state) for field in told.precise]
    precise = {id(array) for array in jax.tree.leaves(fields)}
    return state, lambda array: id(array) in precise


def supported(tx: Transformation) -> GradientTransformation:
    """What was given to `with_extra_args_support`. It may be of another library: ask before it is taken for a value."""
    return cast("GradientTransformation", description(tx).stands_for or tx)


def with_extra_args_support(tx: Transformation) -> GradientTransformationExtraArgs:
    """Let `tx.update` be given any extra argument: it gets those it reads, the others are dropped.

    Wrappers use it on what they wrap, which may come from another library: all that is asked of `tx` is an `init` and an
    `update`. What a factory of gradtx has made is returned as it is.
    """
    if not is_transformation(tx):
        raise unnamed(TypeError, f"a gradient transformation has an init and an update; got {not_a_transformation(tx)}.")
    told = description(tx)
    if told.run is not None and isinstance(tx, GradientTransformationExtraArgs):
        return tx
    foreign_update, names = tx.update, told.extra_args

    def run(updates: Updates, state: OptState, params: Params | None, extra_args: dict[str, Any], /):
        return foreign_update(updates, state, params, **only(names, extra_args))

    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        return run(updates, state, params, extra_args)

    describe(
        update, Description(extra_args=names, run=run, stands_for=tx, widens=told.widens, whole_matrices=told.whole_matrices)
    )
    return GradientTransformationExtraArgs(tx.init, update)


def is_transformation(thing: Any) -> bool:
    """Return whether something has an `init` and an `update`, which is all that the protocol asks for."""
    return callable(getattr(thing, "init", None)) and callable(getattr(thing, "update", None))


def not_a_transformation(thing: Any) -> str:
    """Return what was given instead of a transformation, and what to write."""
    if inspect.isfunction(thing):
        return f"the function {thing.__name__}. If it makes one, call it: {thing.__name__}(...)"
    if isinstance(thing, tuple | list):
        return f"{thing!r}. Members are handed over one by one: chain(*members)"
    return repr(thing)
