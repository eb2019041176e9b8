"""What a torch optimizer keeps for its parameters, read and checked: each number is used, or named in an error."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradtx.errors import unnamed
from gradtx.interop.torch.names import Twin

Entries = dict[str, np.ndarray]
_NUMBERS = ("step", "mu_product")
_NOT_NEGATIVE = (*_NUMBERS, "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "square_avg", "acc_delta", "sum")
_MOST_STEPS = np.iinfo(np.int32).max


def entries_of(state: Mapping[Any, Mapping[str, Any]], twins: Iterable[Twin]) -> dict[int, Entries]:
    """Return the entries of each parameter, without those that are None: torch has not made them yet.

    Args:
      state: that of torch's `state_dict()`. Its keys may be strings of digits, as JSON makes them.
      twins: the parameters.

    Raises:
      ValueError: a key belongs to no parameter, or an entry is not what torch can have made.
    """
    by_index = {twin.index: twin for twin in twins}
    found: dict[int, Entries] = {index: {} for index in by_index}
    keys: dict[int, Any] = {}
    for key, entries in state.items():
        index = int(key) if key not in by_index and isinstance(key, str) and key.isdecimal() else key
        if index not in by_index:
            known = ", ".join(map(repr, by_index))
            raise ValueError(f"from_torch: torch's state has the key {key!r}, but the parameters of its groups are {known}.")
        if index in keys:
            raise ValueError(f"from_torch: torch's state has two keys for {by_index[index]}: {keys[index]!r} and {key!r}.")
        keys[index] = key
        found[index] = {name: _checked(by_index[index], name, value) for name, value in entries.items() if value is not None}
    return found


def step_of(twins: Iterable[Twin], found: Mapping[int, Entries]) -> int:
    """Return the number of steps that were taken, the same for all."""
    steps = []
    for twin in twins:
        if "step" not in found[twin.index]:
            raise ValueError(f"from_torch: torch's state has no step for {twin}.")
        steps.append((twin, found[twin.index]["step"]))
    return int(same("step", steps))


def same(entry: str, values: Sequence[tuple[Twin, np.ndarray]]) -> np.ndarray:
    """Return the one value that all have."""
    first, expected = values[0]
    for twin, value in values[1:]:
        if value != expected:
            raise ValueError(f"from_torch: {entry} is {value} for {twin} and {expected} for {first}; here all have the same.")
    return expected


def check_step(name: str, step: Any) -> None:
    """Raise `ValueError` unless `step` can be the number of steps that were taken."""
    if np.ndim(step) or not (0 <= step <= _MOST_STEPS and step == int(step)):
        raise unnamed(ValueError, f"{name} must be a number of steps, a whole number from 0 to {_MOST_STEPS}, got {step}.")


def _checked(twin: Twin, name: str, value: Any) -> np.ndarray:
    """An entry as an array."""
    try:
        array = _array(value)
    except ValueError as error:  # lists of different lengths
        raise ValueError(f"from_torch: {name} of {twin} is not an array of numbers: {error}") from error
    of = f"from_torch: {name} of {twin}"
    if not jnp.issubdtype(array.dtype, np.number):
        raise ValueError(f"{of} is not an array of numbers, but of dtype {array.dtype}.")
    if name in _NUMBERS and array.ndim:
        raise ValueError(f"{of} has the shape {array.shape}, and must be a single number.")
    if np.isnan(array).any():
        raise ValueError(f"{of} has NaN: the run was lost before it was saved; take an older checkpoint.")
    if name in _NOT_NEGATIVE and not np.iscomplexobj(array) and (array < 0).any():
        raise ValueError(f"{of} is negative, {array.min()} at the least: torch makes it of squares, magnitudes or counts.")
    if name == "step":
        check_step(f"step of {twin}", array)
    return array


def _array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which NumPy does not know
            value = value.float()
    return np.asarray(value)
