"""Measure updates on their way through a chain, and keep the numbers in the state, where `tree.get` finds them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import (
    EmptyState,
    GradientTransformation,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    init_empty_state,
    sealed,
    tells,
)
from gradtx.errors import unnamed
from gradtx.signatures import arguments_of
from gradtx.transforms.momentum import EmaState, ema

Measure = Callable[[Updates], Any] | Callable[[Updates, Params], Any]
"""A function of the updates, or of the updates and the parameters: of these if it needs two arguments."""


class SnapshotState(NamedTuple):
    """The last measurement, by its name."""

    measurement: dict[str, Any]


class MonitorState(NamedTuple):
    """The last measurements, by their names, and the states of those which have one."""

    measurements: dict[str, Any]
    measure_states: tuple[OptState, ...]


@factory
def snapshot(measure_name: str, measure: Measure) -> GradientTransformation:
    """Pass the updates on, and keep a measurement of them.

        tx = chain(adam(1e-3), snapshot("norm", tree.norm), clip_by_global_norm(1.0))
        tree.get(state, "norm")

    Before the first update it is that of the parameters, so that the state keeps its type.

    Args:
      measure_name: its name in the state.
      measure: a function of the updates, or of the updates and the parameters.
    """
    own = _as_transformation(measure_name, measure)

    def init(params: Params) -> SnapshotState:
        return SnapshotState({measure_name: _unaliased(own.update(params, EmptyState(), params)[0])})

    @tells(keeps_updates=True)
    def update(updates: Updates, state: SnapshotState, params: Params | None = None):
        measurement, _ = own.update(updates, EmptyState(), params)
        return updates, SnapshotState({measure_name: _like(measurement, state.measurement[measure_name])})

    return GradientTransformation(init, update)


@factory
def monitor(measures: Mapping[str, Measure | Transformation]) -> GradientTransformation:
    """Pass the updates on, and keep several measurements of them.

        tx = chain(adam(1e-3), monitor({"norm": tree.norm, "mean norm": measure_with_ema(tree.norm, 0.9)}))
        tree.get(state, "mean norm")

    Before the first update they are zero.

    Args:
      measures: functions of the updates by name, or of the updates and the parameters (`lambda updates, params: ...`), or
        transformations, such as those of `measure_with_ema`, whose updates are measurements.

    Raises:
      ValueError: from `update`, a measure needs the parameters, and there are none.
    """
    members = {name: _as_transformation(name, measure) for name, measure in measures.items()}

    def measured(updates: Updates, states: tuple[OptState, ...], params: Params | None) -> tuple[dict[str, Any], tuple]:
        pairs = [member.update(updates, state, params) for member, state in zip(members.values(), states, strict=True)]
        return {name: value for name, (value, _) in zip(members, pairs, strict=True)}, tuple(state for _, state in pairs)

    def init(params: Params) -> MonitorState:
        states = tuple(member.init(params) for member in members.values())
        return MonitorState(tree.zeros_like(measured(params, states, params)[0]), states)

    @tells(keeps_updates=True)
    def update(updates: Updates, state: MonitorState, params: Params | None = None):
        measurements, states = measured(updates, state.measure_states, params)
        return updates, MonitorState(_like(measurements, state.measurements), states)

    return GradientTransformation(init, update)


@factory
def measure_with_ema(
    measure: Measure, decay: float, debias: bool = True, accumulator_dtype: DTypeLike | None = None
) -> GradientTransformation:
    """Turn the updates into the moving average of a measurement of them; for `monitor`.

    Args:
      measure: a function of the updates, or of the updates and the parameters. A bool counts as 0 or 1.
      decay: weight of the past, in [0, 1).
      debias: whether to divide by the weight accumulated so far.
      accumulator_dtype: dtype of the average; by default that of the measurement, float32 at least.
    """
    average = sealed(ema(decay, debias, accumulator_dtype), "measure_with_ema")

    own = _as_transformation("measure", measure)

    def numbers(updates: Updates, params: Params | None) -> Any:
        return jax.tree.map(_as_number, own.update(updates, EmptyState(), params)[0])

    def init(params: Params) -> tuple[EmptyState, EmaState]:
        return EmptyState(), average.init(numbers(params, params))

    @tells(decays={"ema": ("decay", decay)})
    def update(updates: Updates, state: tuple[EmptyState, EmaState], params: Params | None = None):
        mean, ema_state = average.update(numbers(updates, params), state[1])
        return mean, (EmptyState(), ema_state)

    return GradientTransformation(init, update)


def _as_transformation(name: str, measure: Any) -> GradientTransformation:
    if hasattr(measure, "update"):
        return measure
    arguments = arguments_of(measure)
    takes_params = len(arguments.required.intersection(arguments.positional)) > 1

    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        if not takes_params:
            return measure(updates), state
        if params is None:
            message = f"the measure {name!r} reads the parameters: call update(updates, state, params)."
            raise unnamed(ValueError, message)
        return measure(updates, params), state

    return GradientTransformation(init_empty_state, update)


def _as_number(x: Any) -> jax.Array:
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(float)


def _unaliased(measurement: Any) -> Any:
    """A measurement may return the very parameters, which a state must not hold."""
    return jax.tree.map(jnp.array, measurement)


def _like(measurement: Any, old: Any) -> Any:
    """The state of a chain in half precision measures in another dtype at first; it keeps that."""
    return jax.tree.map(lambda new, old: jnp.asarray(new).astype(old.dtype), measurement, old)
