"""Keep the hyperparameters of a transformation in its state, where they can be read, written and scheduled."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from gradtx import hints
from gradtx.compiled import compiled, keep_dtypes
from gradtx.composition.arguments import is_number, is_schedule, looked_at, signature_of
from gradtx.composition.held import check_names, in_place_of, is_plain_number, known, require_held
from gradtx.core import (
    ANYTHING,
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Part,
    Schedule,
    Updates,
    at_step,
    factory,
    forwards_to,
    sealed,
    supported,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment
from gradtx.recipe import Recipe, Value


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
        return at_step(self.schedule_fn, state.count)


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
        signature = inspect.signature(self.inner_factory)
        hints.refuse_unknown_keywords(self.__name__, signature.parameters, kwargs)
        recipe = Recipe(self, signature.bind(*args, **kwargs))
        made = sealed(injected(self, recipe.arguments), self.__name__)
        made.recipe = recipe
        return made


@factory
def inject_hyperparams(
    inner_factory: Callable[..., GradientTransformation],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: DTypeLike | None = None,
) -> Callable[..., GradientTransformationExtraArgs]:
    """Make a factory whose transformations keep their hyperparameters in the state: to log, to change, to schedule.

        tx = inject_hyperparams(adamw)(learning_rate=cosine_decay_schedule(1e-3, 1000), b2=0.99)
        state = tx.init(params)
        state.hyperparams["b2"] = 0.95                  # from the next update on
        state.hyperparams["learning_rate"] = 1e-4       # scheduled: in the next update only, and as a number
        del state.hyperparams_states["learning_rate"]   # not scheduled any more: as b2

    After an update, `state.hyperparams` holds what that update used. What is written there is used from the next update on.
    Where a schedule goes on, a Python number (or `jnp.asarray` of one) is used once, and the state shows the value of the
    schedule again; take the schedule out of `state.hyperparams_states` to end it. An array with a dtype of its own is taken for
    what a schedule has said before, maybe another one or at another step, and the schedule decides. So does it in `lax.scan`,
    which gives what it carries such a dtype.

    Of the arguments of `inner_factory` and its defaults, a hyperparameter is:

    - a float or an array of floats, and an integer where the annotation or the default says float (not with `rank: int`);
    - a function of the step, called a schedule: one where the annotation has room for a number or there is no annotation,
      but none that is called `mask`, `..._mask` or `..._fn`;
    - a `StatefulSchedule`.

    All else is given to `inner_factory` as it is: what is in `static_args`, and a number that it looks at, as in an `if`.

    Hyperparameters are float32 whatever the dtype of the params: in bfloat16 a decay of 0.999 is 1. All that is computed is
    exact for the number that is held, which is not 0.999: its 1 − b2 is smaller by 1.3e-5 of it, and that of 0.9999 by 1.7e-4.
    In averages whose bias is corrected this cancels; where it matters, make the argument static.

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
    hyperparam_dtype: DTypeLike | None = None,
) -> Callable[..., GradientTransformationExtraArgs]:
    """Make a factory whose transformations keep their hyperparameters in the state; `inject_hyperparams` by its older name."""
    return _injecting(inner_factory, static_args, hyperparam_dtype)


def _injecting(
    inner_factory: Callable[..., GradientTransformation], static_args: str | Iterable[str], hyperparam_dtype: Any
) -> InjectedFactory:
    if not callable(inner_factory):
        raise TypeError(
            f"inject_hyperparams takes a function that makes a transformation, such as adamw itself, got {inner_factory!r}."
        )
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

    build(values())  # raises if an argument is not what it may be
    for name in looked_at(build, values()):
        if name in schedules:
            raise TypeError(f"{made_by.__name__}: {name} cannot be a schedule, as the factory looks at its value.")
        del numbers[name]
    # What inits has arrays, as what updates has: a factory may leave out what a Python number of 0 is the weight of.
    inner = build({name: value if isinstance(value, jax.Array) else np.asarray(value) for name, value in values().items()})

    def init(params: Params) -> InjectStatefulHyperparamsState:
        return InjectStatefulHyperparamsState(
            count=jnp.zeros((), jnp.int32),
            hyperparams={name: as_hyperparam(value) for name, value in values().items()},
            hyperparams_states={name: schedule.init() for name, schedule in schedules.items()},
            inner_state=inner.init(params),
        )

    def present(state: InjectStatefulHyperparamsState) -> list[Part]:
        at_first = values()
        now = {name: as_hyperparam(known(value, at_first[name])) for name, value in state.hyperparams.items()}
        for name, schedule_state in state.hyperparams_states.items():
            own_schedule = isinstance(schedules[name], WrappedSchedule)  # what others will say depends on the extra arguments
            if own_schedule and not _is_written(state.hyperparams[name]):
                now[name] = said(name, jax.tree.map(known, schedule_state, schedules[name].init()))
        return [Part(None, supported(build(now)), state.inner_state)]

    def adjust(state: InjectStatefulHyperparamsState, values: Mapping[str, Any], override: bool) -> Any:
        del override
        names = {path: path.rpartition(".")[2] for path in values}
        for path, name in names.items():
            if name in state.hyperparams_states:
                raise ValueError(
                    f"set_hyperparams: {path} follows {arguments[name]!r}; del state.hyperparams_states[{name!r}] ends that. "
                    "Of adjustable, schedules can be overridden."
                )
            require_held(path, state.hyperparams, name)
        build({name: values[path] for path, name in names.items() if is_plain_number(values[path])})
        new = {name: in_place_of(path, state.hyperparams[name], values[path]) for path, name in names.items()}
        return state._replace(hyperparams={**state.hyperparams, **new})

    def said(name: str, schedule_state: Any, **extra_args: Any) -> jax.Array:
        return as_hyperparam(schedules[name](schedule_state, **extra_args))

    # The update of a schedule with a state takes any extra argument.
    stateful = any(not isinstance(schedule, WrappedSchedule) for schedule in schedules.values())

    @forwards_to(inner, extra_args=frozenset({ANYTHING} if stateful else ()), parts=present, adjust=adjust)
    @compiled
    def update(updates: Updates, state: InjectStatefulHyperparamsState, params: Params | None = None, **extra_args: Any):
        check_names(made_by.__name__, state.hyperparams.keys(), numbers.keys() | schedules.keys())
        used = {name: as_hyperparam(value) for name, value in state.hyperparams.items()}
        shown = dict(used)
        states = {}
        for name, schedule_state in state.hyperparams_states.items():
            shown[name] = said(name, schedule_state, **extra_args)
            used[name] = used[name] if _is_written(state.hyperparams[name]) else shown[name]
            states[name] = schedules[name].update(schedule_state, **extra_args)
        with jax.numpy_dtype_promotion("standard"):  # hyperparameters have a dtype of their own
            new_updates, inner_state = build(used).update(updates, state.inner_state, params, **extra_args)
        return keep_dtypes(new_updates, updates), InjectStatefulHyperparamsState(
            count=safe_increment(state.count),
            hyperparams=shown,
            hyperparams_states=states,
            inner_state=keep_dtypes(inner_state, state.inner_state),
        )

    return GradientTransformationExtraArgs(init, update)


def _is_written(value: Any) -> bool:
    """Whether someone has written a number, which has no dtype of its own: what a schedule says has one, also when restored."""
    return getattr(value, "weak_type", isinstance(value, int | float))


def _check_static_args(inner_factory: Callable[..., Any], names: Iterable[str]) -> None:
    known = inspect.signature(inner_factory).parameters
    for name in names:
        if name not in known:
            hint = hints.nearest(name, known, otherwise=f"it takes {', '.join(known)}.")
            owner = getattr(inner_factory, "__name__", repr(inner_factory))
            raise ValueError(f"inject_hyperparams: {owner} has no argument {name!r} to be static; {hint}")
