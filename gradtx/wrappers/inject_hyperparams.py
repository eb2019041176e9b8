"""Keep the hyperparameters of a transformation in its state, where they can be read, written and scheduled."""

import dataclasses
import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.compiled import compiled, keep_dtypes
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Schedule,
    Updates,
    factory,
    forwards_to,
    sealed,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment
from gradtx.recipe import Recipe, Value
from gradtx.wrappers.hyperparams import is_number, is_schedule, signature_of


class InjectHyperparamsState(NamedTuple):
    """What older programs take for the state of `inject_hyperparams`; it has no place for the state of schedules."""

    count: Count
    hyperparams: dict[str, Any]
    inner_state: OptState


class InjectStatefulHyperparamsState(NamedTuple):
    """Steps taken, the hyperparameters of the last step, the states of those scheduled, and the inner state."""

    count: Count
    hyperparams: dict[str, Any]
    hyperparams_states: dict[str, Any]
    inner_state: OptState


# --- schedules with a state -------------------------------------------------------------------------------------------


@runtime_checkable
class StatefulSchedule(Protocol):
    """A hyperparameter that follows a state of its own, which may depend on the extra arguments of `update`."""

    def init(self) -> Any:
        """Return the state before the first step."""

    def update(self, state: Any, **extra_args: Any) -> Any:
        """Return the state for the next step."""

    def __call__(self, state: Any, **extra_args: Any) -> Any:
        """Return the value of the hyperparameter in this step."""


class WrappedScheduleState(NamedTuple):
    """Steps taken."""

    count: Count


@dataclasses.dataclass(frozen=True)
class WrappedSchedule:
    """A function of the step as a `StatefulSchedule`: its state is the count."""

    schedule_fn: Schedule

    def init(self) -> WrappedScheduleState:
        return WrappedScheduleState(jnp.zeros((), jnp.int32))

    def update(self, state: WrappedScheduleState, **extra_args: Any) -> WrappedScheduleState:
        del extra_args
        return WrappedScheduleState(safe_increment(state.count))

    def __call__(self, state: WrappedScheduleState, **extra_args: Any) -> Any:
        del extra_args
        return self.schedule_fn(state.count)


# --- the wrapper ------------------------------------------------------------------------------------------------------


class InjectedFactory(Value):
    """A factory with the signature of another, whose transformations keep their hyperparameters in their state."""

    def __init__(self, inner_factory: Callable[..., GradientTransformation], static_args: frozenset[str], dtype: Any):
        functools.update_wrapper(self, inner_factory, assigned=("__module__", "__doc__"))
        self.inner_factory = inner_factory
        self.static_args = static_args
        self.dtype = dtype

    @property
    def __name__(self) -> str:
        return repr(self)

    def __call__(self, *args: Any, **kwargs: Any) -> GradientTransformationExtraArgs:
        recipe = Recipe(self, inspect.signature(self.inner_factory).bind(*args, **kwargs))
        made = sealed(injected(self, recipe.arguments), self.__name__)
        made.recipe = recipe
        return made


@factory
def inject_hyperparams(
    inner_factory: Callable[..., GradientTransformation],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any = None,
) -> Callable[..., GradientTransformationExtraArgs]:
    """Make a factory whose transformations keep their hyperparameters in the state: to log, to change, to schedule.

        tx = inject_hyperparams(adamw)(learning_rate=cosine_decay_schedule(1e-3, 1000), b2=0.99)
        state = tx.init(params)
        state.hyperparams["b2"] = 0.95                  # from the next update on
        state.hyperparams["learning_rate"] = 1e-4       # scheduled: in the next update only
        del state.hyperparams_states["learning_rate"]   # not scheduled any more: as b2

    After an update, `state.hyperparams` holds what that update used. What is written there is used from the next update on.
    Where a schedule goes on, it is used once, and the state shows the value of the schedule again; take the schedule out of
    `state.hyperparams_states` to end it. From a `StatefulSchedule` of your own, take it out first: nothing tells what was
    written from what its former state has given.

    Of the arguments of `inner_factory` and its defaults, a hyperparameter is:

    - a float or an array of floats, and an integer where the annotation or the default says float (not with `rank: int`);
    - a function of the step, called a schedule: one where the annotation has room for a number or there is no annotation,
      but none that is called `mask`, `..._mask` or `..._fn`;
    - a `StatefulSchedule`.

    All else is given to `inner_factory` as it is: what is in `static_args`, and a number that it looks at, as in an `if`.

    Hyperparameters are float32 whatever the dtype of the params: in bfloat16 a decay of 0.999 is 1.

    Args:
      inner_factory: a function that returns a transformation. In each update it is called with traced hyperparameters.
      static_args: names of arguments that are no hyperparameters.
      hyperparam_dtype: dtype of the hyperparameters; by default float32.

    Raises:
      ValueError: `static_args` names something that `inner_factory` does not take.
    """
    return _injecting(inner_factory, static_args, hyperparam_dtype)


@factory
def inject_stateful_hyperparams(
    inner_factory: Callable[..., GradientTransformation],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any = None,
) -> Callable[..., GradientTransformationExtraArgs]:
    """Make a factory whose transformations keep their hyperparameters in the state; `inject_hyperparams` by its older name."""
    return _injecting(inner_factory, static_args, hyperparam_dtype)


def _injecting(
    inner_factory: Callable[..., GradientTransformation], static_args: str | Iterable[str], hyperparam_dtype: Any
) -> InjectedFactory:
    names = (static_args,) if isinstance(static_args, str) else tuple(static_args)
    _check_static_args(inner_factory, names)
    return InjectedFactory(inner_factory, frozenset(names), jnp.dtype(hyperparam_dtype or jnp.float32))


def injected(made_by: InjectedFactory, arguments: Mapping[str, Any]) -> GradientTransformationExtraArgs:
    """Make the transformation that an `InjectedFactory` returns when it is called with `arguments`."""
    signature = inspect.signature(made_by.inner_factory)
    parameters = signature_of(made_by.inner_factory).parameters
    own = {name: value for name, value in arguments.items() if name not in made_by.static_args}
    schedules = {
        name: value if isinstance(value, StatefulSchedule) else WrappedSchedule(value)
        for name, value in own.items()
        if isinstance(value, StatefulSchedule) or is_schedule(value, parameters[name])
    }
    numbers = {name: value for name, value in own.items() if is_number(value, parameters[name])}

    def build(hyperparams: Mapping[str, Any]) -> GradientTransformationExtraArgs:
        call = inspect.BoundArguments(signature, {**arguments, **hyperparams})  # pyright: ignore[reportArgumentType]
        return with_extra_args_support(made_by.inner_factory(*call.args, **call.kwargs))

    def as_hyperparam(value: Any) -> jax.Array:
        return jnp.array(value, made_by.dtype)  # a copy: a state that shares the caller's array could not be donated

    def values() -> dict[str, Any]:
        return {**numbers, **{name: schedule(schedule.init()) for name, schedule in schedules.items()}}

    for name in _looked_at(build, values()):
        if name in schedules:
            raise TypeError(f"{made_by.__name__}: {name} cannot be a schedule, as the factory looks at its value.")
        del numbers[name]
    build(values())  # raises if a number is out of its range
    # What inits has arrays, as what updates has: a factory may leave out what a Python number of 0 is the weight of.
    inner = build({name: value if isinstance(value, jax.Array) else np.asarray(value) for name, value in values().items()})

    def init(params: Params) -> InjectStatefulHyperparamsState:
        return InjectStatefulHyperparamsState(
            count=jnp.zeros((), jnp.int32),
            hyperparams={name: as_hyperparam(value) for name, value in values().items()},
            hyperparams_states={name: schedule.init() for name, schedule in schedules.items()},
            inner_state=inner.init(params),
        )

    # The update of a schedule with a state takes any extra argument.
    stateful = any(not isinstance(schedule, WrappedSchedule) for schedule in schedules.values())

    @forwards_to(inner, extra_args=None if stateful else frozenset())
    @compiled
    def update(updates: Updates, state: InjectStatefulHyperparamsState, params: Params | None = None, **extra_args: Any):
        _check_names(made_by.__name__, state.hyperparams.keys(), numbers.keys() | schedules.keys())
        used = {name: as_hyperparam(value) for name, value in state.hyperparams.items()}
        shown = dict(used)
        states = {}
        for name, schedule_state in state.hyperparams_states.items():
            schedule = schedules[name]
            shown[name] = as_hyperparam(schedule(schedule_state, **extra_args))
            used[name] = jnp.where(_is_written(used[name], schedule, schedule_state), used[name], shown[name])
            states[name] = schedule.update(schedule_state, **extra_args)
        new_updates, inner_state = build(used).update(updates, state.inner_state, params, **extra_args)
        return keep_dtypes(new_updates, updates), InjectStatefulHyperparamsState(
            count=safe_increment(state.count),
            hyperparams=shown,
            hyperparams_states=states,
            inner_state=keep_dtypes(inner_state, state.inner_state),
        )

    return GradientTransformationExtraArgs(init, update)


def _is_written(value: jax.Array, schedule: StatefulSchedule, state: Any) -> Any:
    """Whether `value` is another than the schedule gave in the last step, beyond what rounding explains."""
    if not isinstance(schedule, WrappedSchedule):
        return False
    last = schedule(WrappedScheduleState(jnp.maximum(state.count - 1, 0)))
    return ~jnp.isclose(value, jnp.asarray(last, value.dtype), rtol=1e-5, atol=0, equal_nan=True)


def _looked_at(build: Callable[..., Any], values: Mapping[str, Any]) -> list[str]:
    """The hyperparameters whose value the factory asks for, as in an `if`: a traced one has none."""
    # What is computed from a JAX array while something is traced is traced, too: with a NumPy array only `name` is.
    known = {name: np.asarray(value) if _is_concrete(value) else value for name, value in values.items()}
    return [name for name in known if not _can_be_traced(lambda value, name=name: build({**known, name: value}), known[name])]


def _is_concrete(value: Any) -> bool:
    return isinstance(value, jax.Array) and not isinstance(value, Tracer)


def _can_be_traced(build: Callable[[Any], Any], value: Any) -> bool:
    def probe(value: jax.Array) -> None:
        build(value)

    try:
        jax.eval_shape(probe, value)
    except (
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerArrayConversionError,
        jax.errors.TracerIntegerConversionError,
    ):
        return False
    return True


def _check_static_args(inner_factory: Callable[..., Any], names: Iterable[str]) -> None:
    known = inspect.signature(inner_factory).parameters
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(known)}."
            owner = getattr(inner_factory, "__name__", repr(inner_factory))
            raise ValueError(f"inject_hyperparams: {owner} has no argument {name!r} to be static; {hint}")


def _check_names(owner: str, got: Iterable[str], expected: Iterable[str]) -> None:
    for name in sorted(set(got) ^ set(expected)):
        what = "is missing in" if name in expected else "is none of those in"
        raise ValueError(f"{owner}: {name!r} {what} state.hyperparams; the hyperparameters are {', '.join(sorted(expected))}.")
