"""Keep all hyperparameters of a composition in its state."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Schedule,
    Transformation,
    at_step,
    factory,
    supported,
)
from gradtx.core.arguments import Argument, looked_at
from gradtx.core.hyperparameters import hyperparameters, rebuilt, refuse_unknown, schedule_hyperparameters
from gradtx.core.schedule_numbers import standing_for, with_numbers
from gradtx.errors import unnamed
from gradtx.numerics import Count
from gradtx.wrappers.stored_hyperparameters import Layout, default_float, given_at_least, replacing, storing


class OverrideState(NamedTuple):
    """Whether a value is used instead of a schedule, and which."""

    active: jax.Array
    value: jax.Array


class AdjustableState(NamedTuple):
    """Steps taken, hyperparameters by path, what is used instead of schedules, and the inner state."""

    count: Count
    hyperparams: dict[str, Any]
    overrides: dict[str, OverrideState]
    inner_state: OptState


@factory
def adjustable(inner: Transformation, schedules: Mapping[str, Schedule] | None = None) -> GradientTransformationExtraArgs:
    """Keep the hyperparameters of all that `inner` is made of in the state: to change them in a run, or to schedule them.

        tx = adjustable(chain(clip_by_global_norm(1.0), adamw(1e-3)), {"adamw.b1": linear_schedule(0.85, 0.95, 1000)})
        state = tx.init(params)
        state = set_hyperparams(tx, state, {"adamw.learning_rate": 3e-4})       # nothing compiles again
        hyperparams(tx, state)["adamw.b1"]

    `hyperparams` says what their paths are. Every number given for a float is stored in the state, as an array of
    the default float dtype whatever that of the parameters (`inject_hyperparams` says what it means for a decay). Whole
    numbers, and what decides what is computed, are compiled in.

    Schedules of `inner` go on as they are, and can be overridden. The numbers that they were made with are stored, too, and
    can be set, such as "adamw.learning_rate.peak_value"; what counts steps there, as `decay_steps` does, is an int32.
    Boundaries with their scales, and the length of a one-cycle schedule, are compiled in.

    Many runs of different hyperparameters are one `vmap`:

        states = jax.vmap(lambda rate: set_hyperparams(tx, tx.init(params), {"adamw.learning_rate": rate}))(rates)

    Args:
      inner: a transformation made by the functions of gradtx, or by others that are marked with `factory`.
      schedules: a function of the step, 0 at the first, for any of the hyperparameters, by path.

    Raises:
      KeyError: there is no hyperparameter of a path in `schedules`.
      TypeError: a schedule is not a function, or is for a hyperparameter that decides what is computed.
      ValueError: nothing is known of how `inner` was made.
    """
    inner = supported(inner)
    given = hyperparameters(inner) | schedule_hyperparameters(inner)
    imposed = dict(schedules or {})
    _check(inner, given, imposed)

    def build(values: Mapping[str, Any]) -> GradientTransformation:
        with jax.numpy_dtype_promotion("standard"):  # a schedule may compute with numbers and with steps when it is made
            return rebuilt(inner, values)

    own: dict[str, Schedule] = {path: value for path, value in given.items() if callable(value) and path not in imposed}
    whole = frozenset(schedule_hyperparameters(inner, Argument.counts_steps))
    in_schedules = _numbers_of(own, schedule_hyperparameters(inner, Argument.is_number), whole)
    candidates = hyperparameters(inner, Argument.is_number) | in_schedules
    first = {path: at_step(schedule, jnp.zeros((), jnp.int32)) for path, schedule in imposed.items()}
    fixed = looked_at(build, {**candidates, **first})
    for path in imposed:
        if path in fixed or (path not in candidates and not callable(given[path])):
            raise unnamed(TypeError, f"{path} decides what is computed, so it cannot be a schedule.")
    numbers = {path: value for path, value in candidates.items() if path not in imposed and path not in fixed}
    followed = {**imposed, **own}

    def no_overrides() -> dict[str, OverrideState]:
        return {path: OverrideState(jnp.zeros((), bool), jnp.zeros((), default_float())) for path in followed}

    def begin(hyperparams: dict[str, jax.Array], inner_state: OptState) -> AdjustableState:
        return AdjustableState(jnp.zeros((), jnp.int32), hyperparams, no_overrides(), inner_state)

    def scheduled(state: AdjustableState, extra_args: Any) -> tuple[dict[str, Any], AdjustableState]:
        count = given_at_least(state.count, jnp.zeros((), jnp.int32))
        overrides = jax.tree.map(given_at_least, state.overrides, no_overrides())
        said = {path: _overridden(schedule, overrides[path])(count) for path, schedule in imposed.items()}
        stored = {path: given_at_least(value, numbers[path]) for path, value in state.hyperparams.items()}
        present = {path: jnp.asarray(value, _dtype_of(path, whole)) for path, value in {**stored, **said}.items()}
        with jax.numpy_dtype_promotion("standard"):
            schedules = {path: with_numbers(path, schedule, _below(path, present)) for path, schedule in own.items()}
        return {**said, **{path: _overridden(each, overrides[path]) for path, each in schedules.items()}}, state

    def override(state: AdjustableState, path: str, name: str, value: Any, override: bool) -> AdjustableState | None:
        if path not in followed:
            return None
        changed = _changed(path, state.overrides[path], followed[path], value, override)
        return state._replace(overrides={**state.overrides, path: changed})

    return storing("adjustable", build, numbers, first, None, Layout(begin, scheduled, override), whole=whole)


def _check(inner: Transformation, given: Mapping[str, Any], schedules: Mapping[str, Any]) -> None:
    if not given:
        raise unnamed(
            ValueError,
            f"nothing is known of the hyperparameters of {inner!r}; it must be made by functions of gradtx, or by "
            "others that are marked with gradtx.factory.",
        )
    refuse_unknown(schedules, given)


def _numbers_of(schedules: Mapping[str, Schedule], numbers: Mapping[str, Any], whole: frozenset[str]) -> dict[str, Any]:
    """Those of some numbers that are inside of schedules, and that these can be evaluated with while they are traced."""
    found = {path: _below(path, numbers) for path in schedules}
    return {
        path: number
        for schedule_path, own in found.items()
        for path, number in own.items()
        if _may_be_traced(schedule_path, schedules[schedule_path], path, jnp.asarray(number, _dtype_of(path, whole)))
    }


def _dtype_of(path: str, whole: frozenset[str]) -> Any:
    return jnp.int32 if path in whole else default_float()


def _below(path: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name.startswith(f"{path}.")}


def _may_be_traced(schedule_path: str, schedule: Schedule, path: str, number: jax.Array) -> bool:
    """Whether a schedule works with a traced number: one of a user's may ask for its value."""

    def evaluate(number: jax.Array) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return at_step(with_numbers(schedule_path, schedule, {path: number}), jnp.zeros((), jnp.int32))

    try:
        jax.eval_shape(evaluate, number)
    except Exception:  # whatever a function of the user's says to what it does not expect
        return False
    return True


def _overridden(schedule: Schedule, override: OverrideState) -> Schedule:
    def value(count: Any) -> jax.Array:
        return jnp.where(override.active, override.value, jnp.asarray(at_step(schedule, count), override.value.dtype))

    return standing_for(schedule, value)


def _changed(path: str, old: OverrideState, schedule: Schedule, value: Any, override: bool) -> OverrideState:
    if value is None:
        return old._replace(active=jnp.zeros_like(old.active))
    if not override:
        raise unnamed(
            ValueError,
            f"{path} follows {schedule!r}; pass override=True to hold it at {value} instead (and later None: "
            "then the schedule goes on).",
        )
    return OverrideState(jnp.ones_like(old.active), replacing(path, old.value, value))
