"""Hyperparameters that are held in a state, where they may be written."""

import numbers
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def in_place_of(path: str, old: Any, value: Any) -> Any:
    """Return a new value with the dtype and the shape of the old one, so that nothing compiles again.

    Raises:
      TypeError: it is no number.
      ValueError: it does not broadcast to the old shape.
    """
    try:
        value = jnp.array(value, old.dtype)  # a copy: a state that shares the caller's array could not be donated
    except (TypeError, ValueError):
        raise TypeError(f"set_hyperparams: {path} must be a number, got {value!r}.") from None
    if np.broadcast_shapes(value.shape, old.shape) != old.shape:
        raise ValueError(f"set_hyperparams: {path} has the shape {old.shape}, got one of shape {value.shape}.")
    return jnp.broadcast_to(value, old.shape)


def known(value: Any, given: Any) -> Any:
    """Return what a state holds; of one that has shapes alone, what was given at first."""
    return given if isinstance(value, jax.ShapeDtypeStruct) else value


def is_plain_number(value: Any) -> bool:
    """Whether a factory can tell if the value is in its range: an array may be traced."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def require_held(path: str, held: Iterable[str], name: str) -> None:
    """Raise `ValueError` if a hyperparameter is not in the state."""
    if name not in held:
        raise ValueError(
            f"set_hyperparams: {path} decides what is computed, so it is compiled into the update; in the state are "
            f"{', '.join(sorted(held)) or 'none'}."
        )


def check_names(owner: str, got: Iterable[str], expected: Iterable[str]) -> None:
    """Raise `ValueError` if someone has added a hyperparameter to the state, or taken one out."""
    for name in sorted(set(got) ^ set(expected)):
        what = "is missing in" if name in expected else "is none of those in"
        raise ValueError(f"{owner}: {name!r} {what} state.hyperparams; the hyperparameters are {', '.join(sorted(expected))}.")
