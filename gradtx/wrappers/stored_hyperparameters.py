"""Hyperparameters that are stored in a state: the engine of `adjustable` and of `inject_hyperparams`."""

import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.compiled import compiled, keep_dtypes
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Part,
    Transformation,
    Updates,
    as_wide_as_updates_of,
    forwards_to,
    supported,
    with_extra_args_support,
)
from gradtx.errors import unnamed
from gradtx.numerics import safe_increment
from gradtx.rounded import Rounded, as_meant


class Layout(NamedTuple):
    """Where a wrapper keeps what follows a schedule.

    Its state has a `count`, the stored `hyperparams` by name, an `inner_state`, and what else it needs.

    - `first`: the state at the beginning, of the stored hyperparameters and the inner state;
    - `scheduled`: of a state and the extra arguments of an update what is used instead of stored hyperparameters, and the state
      for the next step. The arguments are None where they are not known: then only what does not need them;
    - `override`: the state in which a scheduled hyperparameter has a value, if one is set: of the state, the path, its name,
      the value and whether schedules are to be overridden; None for what follows none;
    - `name_of`: the name of a hyperparameter in the state, of its path.
    """

    first: Callable[[dict[str, jax.Array], OptState], Any]
    scheduled: Callable[[Any, dict[str, Any] | None], tuple[dict[str, Any], Any]]
    override: Callable[[Any, str, str, Any, bool], Any | None]
    name_of: Callable[[str], str] = lambda path: path


def storing(
    owner: str,
    build: Callable[[Mapping[str, Any]], Transformation],
    stored: Mapping[str, Any],
    scheduled: Mapping[str, Any],
    dtype: Any | None,
    layout: Layout,
    extra_args: frozenset[str] = frozenset(),
    whole: frozenset[str] = frozenset(),
) -> GradientTransformationExtraArgs:
    """Make a transformation that is built again in each update, with hyperparameters from its state.

    Args:
      owner: who stores them, for the name of the update.
      build: makes the transformation of hyperparameters by name; those that are left out are as they were given.
      stored: what is in the state, as it is at first, by name.
      scheduled: what is not stored and follows a schedule, as it is at first, by name.
      dtype: of what is stored; None for the default float dtype at the time of use.
      layout: of the state.
      extra_args: what the schedules read.
      whole: the names of what is stored as an int32 instead.
    """

    def dtype_of(name: str) -> Any:
        return jnp.int32 if name in whole else dtype or default_float()

    # Arrays, as what updates has: a factory may leave out what a Python number of 0 is the weight of.
    at_first = {name: _as_array(value, int if name in whole else float) for name, value in {**stored, **scheduled}.items()}
    start = with_extra_args_support(build(at_first))

    def init(params: Params) -> Any:
        # Copies: a state that shares the caller's array could not be donated.
        values = {name: jnp.array(value, dtype_of(name)) for name, value in stored.items()}
        # Not those of NumPy, which JAX does not tell from float32 where x64 was enabled meanwhile.
        begin = build({name: jnp.asarray(value, dtype_of(name)) for name, value in at_first.items()})
        return layout.first(values, begin.init(params))

    def arrays(hyperparams: Mapping[str, Any]) -> dict[str, Any]:
        known = {name: given_at_least(value, stored[name]) for name, value in hyperparams.items()}
        return {name: jnp.asarray(value, dtype_of(name)) for name, value in known.items()}

    def now(state: Any, extra_args: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any], Any]:
        """The hyperparameters as they are at present, stored and scheduled, and the state for the next step."""
        check_names(state.hyperparams, stored)
        instead, new_state = layout.scheduled(state, extra_args)
        return arrays(state.hyperparams), instead, new_state._replace(hyperparams=arrays(new_state.hyperparams))

    def parts(state: Any) -> list[Part]:
        held, instead, _ = now(state, None)
        return [Part(None, supported(build({**held, **instead})), state.inner_state)]

    def adjust(state: Any, values: Mapping[str, Any], override: bool) -> Any:
        # Raises if a number is out of its range; an array may be traced. The others are arrays, of which nothing is checked.
        build({**state.hyperparams, **{layout.name_of(path): new for path, new in values.items() if _is_plain_number(new)}})
        for path, value in values.items():
            name, hyperparams = layout.name_of(path), state.hyperparams
            overridden = layout.override(state, path, name, value, override)
            if overridden is None:
                _require_stored(path, hyperparams, name)
                overridden = state._replace(hyperparams={**hyperparams, name: replacing(path, hyperparams[name], value)})
            state = overridden
        return state

    def update(updates: Updates, state: Any, params: Params | None = None, **extra_args: Any):
        with jax.numpy_dtype_promotion("standard"):  # hyperparameters have a dtype of their own
            held, instead, new_state = now(state, extra_args)
            meant = {name: as_meant(value, stored[name]) for name, value in held.items()}
            tx = with_extra_args_support(build({**meant, **instead}))
            new_updates, inner_state = tx.update(updates, state.inner_state, params, **extra_args)
        return keep_dtypes(new_updates, as_wide_as_updates_of(start, updates)), new_state._replace(
            count=safe_increment(state.count), inner_state=keep_dtypes(inner_state, state.inner_state)
        )

    update.__qualname__ = f"{owner.partition('(')[0]}.update"
    mark = forwards_to(start, extra_args=extra_args, parts=parts, adjust=adjust)
    return GradientTransformationExtraArgs(init, mark(compiled(update)))


def default_float() -> Any:
    """Return float64 if it is enabled, and else float32."""
    return jax.dtypes.canonicalize_dtype(float)


def replacing(path: str, old: Any, value: Any) -> Any:
    """Return a new value with the dtype and the shape of the old one, so that nothing compiles again.

    Raises:
      TypeError: it is not a number, or not a whole one.
      ValueError: it does not broadcast to the old shape.
    """
    if jnp.issubdtype(old.dtype, jnp.integer) and not _is_whole(value):
        raise unnamed(TypeError, f"{path} must be a whole number, got {value!r}.")
    try:
        value = jnp.array(value, old.dtype)  # a copy: a state that shares the caller's array could not be donated
    except (TypeError, ValueError):
        raise unnamed(TypeError, f"{path} must be a number, got {value!r}.") from None
    if np.broadcast_shapes(value.shape, old.shape) != old.shape:
        raise unnamed(ValueError, f"{path} has the shape {old.shape}, got one of shape {value.shape}.")
    return jnp.broadcast_to(value, old.shape)


def given_at_least(value: Any, given: Any) -> Any:
    """Return what a state has; of one that has shapes alone, what was given at first."""
    return given if isinstance(value, jax.ShapeDtypeStruct) else value


def check_names(got: Iterable[str], expected: Iterable[str]) -> None:
    """Raise `ValueError` if someone has added a hyperparameter to the state, or taken one out."""
    for name in sorted(set(got) ^ set(expected)):
        what = "is missing in" if name in expected else "is none of those in"
        known = ", ".join(sorted(expected))
        raise unnamed(ValueError, f"{name!r} {what} state.hyperparams; the hyperparameters are {known}.")


def _as_array(value: Any, dtype: Any) -> Any:
    return value if isinstance(value, jax.Array | Rounded) else np.asarray(value, dtype)


def _is_whole(value: Any) -> bool:
    """Whether it is an integer, or a float that is one; of a traced array only the dtype is known."""
    if isinstance(value, float | np.floating):
        return float(value).is_integer()
    return isinstance(value, int) or jnp.issubdtype(getattr(value, "dtype", float), jnp.integer)


def _is_plain_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _require_stored(path: str, stored: Iterable[str], name: str) -> None:
    if name not in stored:
        raise unnamed(
            ValueError,
            f"{path} decides what is computed, so it is compiled into the update; in the state are "
            f"{', '.join(sorted(stored)) or 'none'}.",
        )
