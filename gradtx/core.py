"""The protocol: a gradient transformation is a pair of pure functions, and an optimizer a chain of them.

    init(params)                              -> state
    update(updates, state, params, **extra)   -> updates, state

A factory is marked with `@factory`. It writes the pair as plain closures, and the signature of its `update` says what it
needs: `params` without a default is required, and every keyword-only argument is an extra argument it reads.
"""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeAlias, TypeVar, cast, overload

import jax

from gradtx import require, tree
from gradtx.recipe import Recipe, Value
from gradtx.tree import mistakes

Params: TypeAlias = Any
"""A tree of arrays: what is optimized."""
Updates: TypeAlias = Params
"""A tree like the parameters: gradients on their way to become steps."""
OptState: TypeAlias = Any
"""A tree of NamedTuples, tuples, dicts and arrays."""
Schedule: TypeAlias = Callable[[Any], Any]
"""A function of the step count (an int32 scalar, 0 at the first step)."""
ScalarOrSchedule: TypeAlias = float | jax.Array | Schedule

# Extra arguments of the protocol itself: any transformation may be given them, whether or not it reads them.
PROTOCOL_EXTRA_ARGS = frozenset({"value", "grad", "value_fn", "grad_fn", "key"})

_P = ParamSpec("_P")
_R = TypeVar("_R")


class TransformInitFn(Protocol):
    """Make the state for parameters like `params`; only their shapes, dtypes and shardings matter to most."""

    def __call__(self, params: Params, /) -> OptState: ...


class TransformUpdateFn(Protocol):
    """Transform `updates`; returns the new updates and the new state."""

    def __call__(self, updates: Updates, state: OptState, params: Params | None = None, /) -> tuple[Updates, OptState]: ...


class TransformUpdateExtraArgsFn(Protocol):
    """As `TransformUpdateFn`, with extra arguments by keyword."""

    def __call__(
        self, updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any
    ) -> tuple[Updates, OptState]: ...


class _Pair(NamedTuple):
    init: Callable[[Params], OptState]
    update: Callable[..., tuple[Updates, OptState]]


class GradientTransformation(Value, _Pair):
    """A pair of pure functions `init(params)` and `update(updates, state, params)`.

    What gradtx's factories return is also a value: equal arguments make equal transformations (so one can be a static
    argument of `jax.jit`), it pickles, and it prints as the call that made it.
    """


class GradientTransformationExtraArgs(GradientTransformation):
    """A transformation whose `update` takes extra arguments by keyword (`value=`, `key=`, ...)."""


class Function(Value):
    """A function, such as a schedule, that remembers the factory and the arguments it was made with."""

    def __init__(self, function: Callable[..., Any], made_by: Callable[..., Any] | None = None):
        functools.update_wrapper(self, made_by or function, updated=())
        self.__wrapped__ = function  # whose signature it shows

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)


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
    - `adjust`: the state with other hyperparameters, for a wrapper that keeps those of its part in the state (and whose part
      is made anew with these); None for all others. Its arguments are the state, new values by path, and whether they override
      schedules.
    """

    parts: Callable[[OptState], list[Part]] = lambda state: []
    seen: Callable[[Params], list[Params]] | None = None
    count: Callable[[OptState], Any] | None = None
    adjust: Callable[[OptState, Mapping[str, Any], bool], OptState] | None = None


def inside(tx: GradientTransformation) -> Inside:
    """Return what a transformation tells of what is inside; of one from another library that is nothing."""
    return getattr(tx.update, "inside", Inside())


class EmptyState(NamedTuple):
    """The state of a transformation that keeps none."""


def init_empty_state(params: Params) -> EmptyState:
    """Return the `EmptyState`, whatever the parameters."""
    del params
    return EmptyState()


def at_step(hyperparameter: ScalarOrSchedule, count: Any) -> Any:
    """Return what a hyperparameter is at a step: the number, or what the schedule says."""
    return hyperparameter(count) if callable(hyperparameter) else hyperparameter


# --- factories -------------------------------------------------------------------------------------------------------


@overload
def factory(build: Callable[_P, _R], /) -> Callable[_P, _R]: ...
@overload
def factory(**ranges: require.Range) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
def factory(build: Any = None, /, **ranges: require.Range) -> Any:
    """Make a function that builds a transformation (or a schedule) a factory of values.

    - What it returns remembers the factory and its arguments: it compares, hashes, pickles and prints by them.
    - What is annotated as a number must be one, and a schedule only where the annotation says so.
    - Hyperparameters out of range are refused, by the table in `gradtx.require`; `ranges` overrides it by name.
    - `update` accepts the protocol's extra arguments and those it declares, and refuses every other by name.
    - `update` says who needs the parameters when they are missing.

    Args:
      build: a function that returns a `GradientTransformation`, or a function of the step, or a `Value` without a recipe.
      **ranges: for an argument of this factory, the numbers it may be.
    """
    if build is None:
        return functools.partial(factory, **ranges)
    signature = inspect.signature(build)
    kinds = require.kinds(signature)
    numbers = dict.fromkeys(kinds, require.Range())
    allowed = {name: at for name, at in {**numbers, **require.RANGES, **ranges}.items() if name in signature.parameters}
    made_kind = signature.return_annotation
    steerable = isinstance(made_kind, type) and issubclass(made_kind, GradientTransformation)

    @functools.wraps(build)
    def remembering(*args: Any, **kwargs: Any) -> Any:
        try:
            recipe = Recipe(remembering, signature.bind(*args, **kwargs))
        except TypeError:
            build(*args, **kwargs)  # raises Python's own message, which names the function
            raise
        for name, kind in kinds.items():
            require.of_kind(build.__name__, name, recipe.arguments[name], kind, steerable)
        for name, range_ in allowed.items():
            require.in_range(build.__name__, name, recipe.arguments[name], range_)
        made = _as_value(build(*args, **kwargs), build)
        made.recipe = recipe
        return made

    _mark(remembering, is_factory=True)
    return remembering


def _as_value(made: Any, build: Callable[..., Any]) -> Value:
    """What `build` has made, as something that can be given a recipe and is shared with nobody."""
    if isinstance(made, GradientTransformation):
        return sealed(made, build.__name__)
    fresh = isinstance(made, Value) and made.recipe is None
    return made if fresh else Function(cast("Schedule", made), build)


def sealed(tx: GradientTransformation, name: str) -> GradientTransformationExtraArgs:
    """Give `tx.update` the contract of arguments, with `name` for the errors; one that has it already is only copied."""
    kind = type(tx) if isinstance(tx, GradientTransformationExtraArgs) else GradientTransformationExtraArgs
    if getattr(tx.update, "sealed", False):
        return kind._make(tx)
    parameters = inspect.signature(tx.update).parameters
    reads_params = "params" in parameters and parameters["params"].default is inspect.Parameter.empty
    # Frozen, as all that a closure here holds: some libraries hash transformations by what their closures hold.
    required = frozenset(p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY and p.default is p.empty)
    declared = declared_extra_args(tx.update)

    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        if params is None and reads_params:
            raise ValueError(f"{name} reads the parameters: call update(updates, state, params), not update(updates, state).")
        if missing := required - extra_args.keys():
            keyword = min(missing)
            raise TypeError(f"{name} reads {keyword!r}: call update(updates, state, params, {keyword}=...).")
        if declared is not None:
            _refuse_unknown(name, extra_args.keys() - declared - PROTOCOL_EXTRA_ARGS, declared)
        try:
            return tx.update(updates, state, params, **_only(declared, extra_args))
        except Exception as error:  # each of these raises if the arguments are to blame
            mistakes.explain_state(name, tx.init, updates, state, params)
            mistakes.explain(name, error, updates=updates, params=params)
            raise

    def init(params: Params) -> OptState:
        try:
            return tx.init(params)
        except Exception as error:
            mistakes.explain(name, error, params=params)
            raise

    _mark(update, extra_args=declared, sealed=True, inside=inside(tx))
    return kind._make((init, update))


def _refuse_unknown(name: str, unknown: set[str], declared: frozenset[str]) -> None:
    if not unknown:
        return
    keyword = min(unknown)
    known = sorted(declared | PROTOCOL_EXTRA_ARGS)
    close = difflib.get_close_matches(keyword, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
    raise TypeError(f"{name}: nothing here reads the extra argument {keyword!r}; {hint}")


def _mark(function: Callable[..., Any], **attributes: Any) -> None:
    vars(function).update(attributes)


def _only(names: frozenset[str] | None, extra_args: dict[str, Any]) -> dict[str, Any]:
    return extra_args if names is None else {name: arg for name, arg in extra_args.items() if name in names}


def declared_extra_args(update: Callable[..., Any]) -> frozenset[str] | None:
    """The extra arguments that `update` reads, or None if it takes any (`**extra` from outside gradtx)."""
    if hasattr(update, "extra_args"):
        return vars(update)["extra_args"]
    extra = list(inspect.signature(update).parameters.values())[3:]
    if any(p.kind is p.VAR_KEYWORD for p in extra):
        return None
    return frozenset(p.name for p in extra)


def forwards_to(
    *inners: GradientTransformation,
    extra_args: frozenset[str] | None = frozenset(),
    states: Callable[[Any], Iterable[OptState] | Mapping[Any, OptState]] = lambda state: (state.inner_state,),
    **tells: Any,
) -> Callable[[_R], _R]:
    """Mark the `update` of a wrapper: it hands the extra arguments it is given on to `inners`, whose states it keeps.

    Args:
      *inners: what it wraps.
      extra_args: what it reads besides, such as the arguments of a function that it was given; None for anything.
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
        declared = [extra_args, *(declared_extra_args(inner.update) for inner in inners)]
        everything = None if None in declared else names.union(*cast("list[frozenset[str]]", declared))
        _mark(update, extra_args=everything, inside=Inside(**{"parts": parts, **tells}))
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
    if not (callable(getattr(tx, "init", None)) and callable(getattr(tx, "update", None))):
        raise TypeError(f"a gradient transformation has an init and an update; got {_no_transformation(tx)}.")
    names = declared_extra_args(tx.update)

    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        return tx.update(updates, state, params, **_only(names, extra_args))

    _mark(update, extra_args=names, supports=tx)
    return GradientTransformationExtraArgs(tx.init, update)


def _no_transformation(thing: Any) -> str:
    """What was given in the place of a transformation, and what to write instead."""
    if inspect.isfunction(thing):
        return f"the function {thing.__name__}. If it makes one, call it: {thing.__name__}(...)"
    if isinstance(thing, tuple | list):
        return f"{thing!r}. Members are handed over one by one: chain(*members)"
    return repr(thing)


# --- compositions ----------------------------------------------------------------------------------------------------


@factory
def chain(*args: GradientTransformation) -> GradientTransformationExtraArgs:
    """Apply transformations one after another: the updates of each are the input of the next.

    The state is a flat tuple with one entry for each member. `chain()` of nothing changes nothing.

    Args:
      *args: transformations, of gradtx or of any library that keeps to the same protocol.

    Raises:
      TypeError: an argument is not a transformation.
    """
    members = [with_extra_args_support(tx) for tx in args]

    def init(params: Params) -> tuple[OptState, ...]:
        return tuple(member.init(params) for member in members)

    @forwards_to(*members, states=tuple)
    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        if not isinstance(state, tuple | list) or hasattr(state, "_fields") or len(state) != len(members):
            raise ValueError(f"chain: the state is not that of a chain of {len(members)}.")
        new_state = []
        for member, member_state in zip(members, state, strict=True):
            updates, member_state = member.update(updates, member_state, params, **extra_args)
            new_state.append(member_state)
        return updates, tuple(new_state)

    return GradientTransformationExtraArgs(init, update)


@factory
def named_chain(*args: tuple[str, GradientTransformation]) -> GradientTransformationExtraArgs:
    """Apply named transformations one after another; the state is a dict by name.

    Args:
      *args: pairs `(name, transformation)`.

    Raises:
      TypeError: an argument is not such a pair.
      ValueError: two members have the same name.
    """
    for pair in args:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise TypeError(f"named_chain takes pairs (name, transformation), got {pair!r}.")
    names = [name for name, _ in args]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"named_chain: {repeated[0]!r} names two members; every name must be its own.")
    members = {name: with_extra_args_support(tx) for name, tx in args}

    def init(params: Params) -> dict[str, OptState]:
        return {name: member.init(params) for name, member in members.items()}

    @forwards_to(*members.values(), states=lambda state: {name: state[name] for name in members})
    def update(updates: Updates, state: dict[str, OptState], params: Params | None = None, **extra_args: Any):
        if state.keys() != members.keys():
            raise ValueError(f"named_chain: the state is not that of {', '.join(names)}.")
        new_state = {}
        for name, member in members.items():
            updates, new_state[name] = member.update(updates, state[name], params, **extra_args)
        return updates, new_state

    return GradientTransformationExtraArgs(init, update)


@factory
def identity() -> GradientTransformationExtraArgs:
    """Return the updates as they are."""

    def update(updates: Updates, state: OptState, params: Params | None = None):
        return updates, state

    return GradientTransformationExtraArgs(init_empty_state, update)


@factory
def set_to_zero() -> GradientTransformationExtraArgs:
    """Replace every update by zeros, integer leaves too: what it is applied to does not move."""

    def update(updates: Updates, state: OptState, params: Params | None = None):
        return tree.zeros_like(updates), state

    return GradientTransformationExtraArgs(init_empty_state, update)


@factory
def stateless(f: Callable[[Updates, Params | None], Updates]) -> GradientTransformationExtraArgs:
    """Make a transformation without state of a function `f(updates, params) -> updates`."""

    def update(updates: Updates, state: OptState, params: Params | None = None):
        return f(updates, params), state

    return GradientTransformationExtraArgs(init_empty_state, update)


@factory
def stateless_with_tree_map(f: Callable[[jax.Array, jax.Array | None], jax.Array]) -> GradientTransformationExtraArgs:
    """Make a transformation without state of a function `f(g, p) -> u` on arrays; `p` is None without params."""

    def on_leaf(g: Any, p: Any = None) -> Any:
        return g if tree.is_hole(g) else f(g, p)

    def update(updates: Updates, state: OptState, params: Params | None = None):
        trees = (updates,) if params is None else (updates, params)
        return jax.tree.map(on_leaf, *trees, is_leaf=tree.is_hole), state

    return GradientTransformationExtraArgs(init_empty_state, update)
