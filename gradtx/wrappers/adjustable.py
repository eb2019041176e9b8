"""Keep all hyperparameters of a composition in its state."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.compiled import compiled, keep_dtypes
from gradtx.composition.arguments import is_number, looked_at
from gradtx.composition.held import check_names, in_place_of, is_plain_number, known, require_held
from gradtx.composition.settings import rebuilt, refuse_unknown, settings
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Part,
    Schedule,
    Transformation,
    Updates,
    at_step,
    factory,
    forwards_to,
    supported,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment


class OverrideState(NamedTuple):
    """Whether a value is used in the place of a schedule, and which."""

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

    `hyperparams` says what their paths are. Every number that takes the place of a float is held in the state, as an array of
    the default float dtype whatever that of the parameters (`inject_hyperparams` says what it means for a decay). Whole
    numbers, and what decides what is computed, are compiled in. Schedules of `inner` go on as they are, and can be overridden.
    Many runs of different hyperparameters are one `vmap`:

        states = jax.vmap(lambda rate: set_hyperparams(tx, tx.init(params), {"adamw.learning_rate": rate}))(rates)

    Args:
      inner: a transformation made by the functions of gradtx, or by others that are marked with `factory`.
      schedules: a function of the step, 0 at the first, for any of the hyperparameters, by path.

    Raises:
      KeyError: there is no hyperparameter of a path in `schedules`.
      TypeError: a schedule is no function, or is for a hyperparameter that decides what is computed.
      ValueError: nothing is known of how `inner` was made.
    """
    inner = supported(inner)
    given = settings(inner)
    imposed = dict(schedules or {})
    _check(inner, given, imposed)

    def build(values: Mapping[str, Any]) -> GradientTransformation:
        return rebuilt(inner, values)

    def arrays(values: Mapping[str, Any]) -> dict[str, Any]:
        return {path: value if isinstance(value, jax.Array) else np.asarray(value, _dtype()) for path, value in values.items()}

    candidates = settings(inner, is_number)
    first = {path: at_step(schedule, jnp.zeros((), jnp.int32)) for path, schedule in imposed.items()}
    fixed = looked_at(build, {**candidates, **first})
    for path in imposed:
        if path in fixed or (path not in candidates and not callable(given[path])):
            raise TypeError(f"adjustable: {path} decides what is computed, so it cannot be a schedule.")
    numbers = {path: value for path, value in candidates.items() if path not in imposed and path not in fixed}
    own: dict[str, Schedule] = {path: value for path, value in given.items() if callable(value) and path not in imposed}
    # What inits has arrays, as what updates has: a factory may leave out what a Python number of 0 is the weight of.
    start = with_extra_args_support(build(arrays({**numbers, **first})))

    def no_overrides() -> dict[str, OverrideState]:
        return {path: OverrideState(jnp.zeros((), bool), jnp.zeros((), _dtype())) for path in {**imposed, **own}}

    def init(params: Params) -> AdjustableState:
        return AdjustableState(
            count=jnp.zeros((), jnp.int32),
            hyperparams={path: jnp.array(value, _dtype()) for path, value in numbers.items()},
            overrides=no_overrides(),
            inner_state=start.init(params),
        )

    def at_present(state: AdjustableState) -> GradientTransformation:
        check_names("adjustable", state.hyperparams, numbers)
        held = {path: jnp.asarray(known(value, numbers[path]), _dtype()) for path, value in state.hyperparams.items()}
        count = known(state.count, jnp.zeros((), jnp.int32))
        overrides = jax.tree.map(known, state.overrides, no_overrides())
        overridden = {path: _overridden(own[path], overrides[path]) for path in own}
        by_schedule = {path: _overridden(imposed[path], overrides[path])(count) for path in imposed}
        return build({**held, **overridden, **by_schedule})

    def parts(state: AdjustableState) -> list[Part]:
        return [Part(None, at_present(state), state.inner_state)]

    def adjust(state: AdjustableState, values: Mapping[str, Any], override: bool) -> AdjustableState:
        held, overrides = dict(state.hyperparams), dict(state.overrides)
        build({path: value for path, value in values.items() if is_plain_number(value)})  # raises if one is out of its range
        for path, value in values.items():
            if path in overrides:
                overrides[path] = _changed(path, overrides[path], {**own, **imposed}[path], value, override)
            else:
                require_held(path, held, path)
                held[path] = in_place_of(path, held[path], value)
        return state._replace(hyperparams=held, overrides=overrides)

    @forwards_to(start, parts=parts, adjust=adjust)
    @compiled
    def update(updates: Updates, state: AdjustableState, params: Params | None = None, **extra_args: Any):
        with jax.numpy_dtype_promotion("standard"):  # hyperparameters have a dtype of their own
            present = with_extra_args_support(at_present(state))
            new_updates, inner_state = present.update(updates, state.inner_state, params, **extra_args)
        return keep_dtypes(new_updates, updates), state._replace(
            count=safe_increment(state.count), inner_state=keep_dtypes(inner_state, state.inner_state)
        )

    return GradientTransformationExtraArgs(init, update)


def _check(inner: Transformation, given: Mapping[str, Any], schedules: Mapping[str, Any]) -> None:
    if not given:
        raise ValueError(
            f"adjustable: nothing is known of the hyperparameters of {inner!r}; it must be made by functions of gradtx, or by "
            "others that are marked with gradtx.factory."
        )
    refuse_unknown("adjustable", schedules, given)


def _dtype() -> Any:
    return jax.dtypes.canonicalize_dtype(float)


def _overridden(schedule: Schedule, override: OverrideState) -> Schedule:
    return lambda count: jnp.where(override.active, override.value, jnp.asarray(at_step(schedule, count), override.value.dtype))


def _changed(path: str, old: OverrideState, schedule: Schedule, value: Any, override: bool) -> OverrideState:
    if value is None:
        return old._replace(active=jnp.zeros_like(old.active))
    if not override:
        raise ValueError(
            f"set_hyperparams: {path} follows {schedule!r}; pass override=True to hold it at {value} instead (and later None: "
            "then the schedule goes on)."
        )
    return OverrideState(jnp.ones_like(old.active), in_place_of(path, old.value, value))
