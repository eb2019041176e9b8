"""Keep the hyperparameters of a transformation in its state, where they can be read, written and scheduled."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import hints
from gradtx.core import (
    ANYTHING,
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Schedule,
    at_step,
    factory,
    sealed,
)
from gradtx.core.arguments import arguments_in, looked_at
from gradtx.errors import unnamed
from gradtx.numerics import Count, safe_increment
from gradtx.rounded import given_to
from gradtx.values import Recipe, Value
from gradtx.wrappers.stored_hyperparameters import Layout, given_at_least, storing


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

    Hyperparameters are float32 whatever the dtype of the params: in bfloat16 a decay of 0.999 is 1. While the state holds what
    `inner_factory` was called with, 1 − b2 is that of 0.999 and not of the nearest float32, of which it would differ by
    1.3e-5, and for 0.9999 by 1.7e-4. Of a number that was written there, or that a schedule says, it is that of the float32.

    Args:
      inner_factory: a function that returns a transformation. In each update it is called with traced hyperparameters.
      static_args: names of arguments that are not hyperparameters.
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
    own = {name: value for name, value in arguments.items() if name not in made_by.static_args}
    known = arguments_in(made_by.inner_factory, own)
    schedules = {each.name: each.value for each in known if isinstance(each.value, StatefulSchedule)}
    schedules |= {each.name: WrappedSchedule(each.value) for each in known if each.name not in schedules and each.is_schedule()}

    def build(hyperparams: Mapping[str, Any]) -> GradientTransformation:
        call = inspect.BoundArguments(signature, {**arguments, **given_to(made_by.inner_factory, hyperparams)})  # pyright: ignore[reportArgumentType]
        return made_by.inner_factory(*call.args, **call.kwargs)

    at_first = {each.name: each.value for each in known if each.is_number()}
    at_first |= {name: schedule(schedule.init()) for name, schedule in schedules.items()}
    build(at_first)  # raises if an argument is not what it may be
    for name in looked_at(build, at_first):
        if name in schedules:
            raise TypeError(f"{made_by.__name__}: {name} cannot be a schedule, as the factory looks at its value.")
        del at_first[name]

    def begin(hyperparams: dict[str, jax.Array], inner_state: OptState) -> InjectStatefulHyperparamsState:
        states = {name: schedule.init() for name, schedule in schedules.items()}
        return InjectStatefulHyperparamsState(jnp.zeros((), jnp.int32), hyperparams, states, inner_state)

    def scheduled(state: InjectStatefulHyperparamsState, extra_args: dict[str, Any] | None):
        said, states = {}, dict(state.hyperparams_states)
        for name, schedule_state in state.hyperparams_states.items():
            schedule, present = schedules[name], jax.tree.map(given_at_least, schedule_state, schedules[name].init())
            if extra_args is not None or isinstance(schedule, WrappedSchedule):
                said[name] = jnp.asarray(schedule(present, **(extra_args or {})), made_by.dtype)
                states[name] = schedule.update(present, **(extra_args or {}))
        used = {name: value for name, value in said.items() if not _is_written(state.hyperparams[name])}
        return used, state._replace(hyperparams={**state.hyperparams, **said}, hyperparams_states=states)

    def override(state: InjectStatefulHyperparamsState, path: str, name: str, value: Any, override: bool) -> None:
        if name in state.hyperparams_states:
            raise unnamed(
                ValueError,
                f"{path} follows {arguments[name]!r}; del state.hyperparams_states[{name!r}] ends that. "
                "Of adjustable, schedules can be overridden.",
            )

    layout = Layout(begin, scheduled, override, name_of=lambda path: path.rpartition(".")[2])
    # The update of a schedule with a state takes any extra argument.
    stateful = any(not isinstance(schedule, WrappedSchedule) for schedule in schedules.values())
    reads = frozenset({ANYTHING} if stateful else ())
    return storing(made_by.__name__, build, at_first, {}, made_by.dtype, layout, reads)


def _is_written(value: Any) -> bool:
    """Whether someone has written a number, which has no dtype of its own: what a schedule says has one, also when restored."""
    return getattr(value, "weak_type", isinstance(value, int | float))


def _check_static_args(inner_factory: Callable[..., Any], names: Iterable[str]) -> None:
    known = inspect.signature(inner_factory).parameters
    for name in names:
        if name not in known:
            hint = hints.nearest(name, known, otherwise=f"it takes {', '.join(known)}.")
            owner = getattr(inner_factory, "__name__", repr(inner_factory))
            raise unnamed(ValueError, f"{owner} has no argument {name!r} to be static; {hint}")
