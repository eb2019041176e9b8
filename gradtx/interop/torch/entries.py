"""What a torch optimizer keeps for its parameters, read and checked: each number is used, or named in an error."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradtx.errors import unnamed
from gradtx.interop.torch.low_bit import LowBit, with_low_bits
from gradtx.interop.torch.names import ParamPair

Entries = dict[str, np.ndarray | LowBit]
_NUMBERS = ("step", "mu_product")
_NOT_NEGATIVE = (*_NUMBERS, "exp_avg_sq", "max_exp_avg_sq", "state2", "exp_inf", "square_avg", "acc_delta", "sum")
_MOST_STEPS = np.iinfo(np.int32).max


def entries_of(state: Mapping[Any, Mapping[str, Any]], pairs: Iterable[ParamPair]) -> dict[int, Entries]:
    """Return the entries of each parameter, without those that are None: torch has not made them yet.

    Args:
      state: that of torch's `state_dict()`. Its keys may be strings of digits, as JSON makes them.
      pairs: the parameters.

    Raises:
      ValueError: a key belongs to no parameter, or an entry is not what torch can have made.
    """
    by_index = {pair.index: pair for pair in pairs}
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
        read = with_low_bits(entries, _array).items()
        found[index] = {name: _checked(by_index[index], name, value) for name, value in read if value is not None}
    return found


def step_of(pairs: Iterable[ParamPair], found: Mapping[int, Entries]) -> int:
    """Return the number of steps that were taken, the same for all."""
    steps = []
    for pair in pairs:
        if "step" not in found[pair.index]:
            raise ValueError(f"from_torch: torch's state has no step for {pair}.")
        steps.append((pair, np.asarray(found[pair.index]["step"])))
    return int(same("step", steps))


def same(entry: str, values: Sequence[tuple[ParamPair, np.ndarray]]) -> np.ndarray:
    """Return the one value that all have."""
    first, expected = values[0]
    for pair, value in values[1:]:
        if value != expected:
            raise ValueError(f"from_torch: {entry} is {value} for {pair} and {expected} for {first}; here all have the same.")
    return expected


def check_step(name: str, step: Any) -> None:
    """Raise `ValueError` unless `step` can be the number of steps that were taken."""
    if np.ndim(step) or not (0 <= step <= _MOST_STEPS and step == int(step)):
        raise unnamed(ValueError, f"{name} must be a number of steps, a whole number from 0 to {_MOST_STEPS}, got {step}.")


def _checked(pair: ParamPair, name: str, value: Any) -> np.ndarray | LowBit:
    """An entry as an array, or as codes for one."""
    if isinstance(value, LowBit):
        if not value.is_whole:
            raise ValueError(f"from_torch: {name} of {pair} has {value.scale.size} scales, of blocks of {value.block_size}.")
        _checked(pair, name, np.asarray(value))
        return value
    try:
        array = _array(value)
    except ValueError as error:  # lists of different lengths
        raise ValueError(f"from_torch: {name} of {pair} is not an array of numbers: {error}") from error
    of = f"from_torch: {name} of {pair}"
    if not jnp.issubdtype(array.dtype, np.number):
        raise ValueError(f"{of} is not an array of numbers, but of dtype {array.dtype}.")
    if name in _NUMBERS and array.ndim:
        raise ValueError(f"{of} has the shape {array.shape}, and must be a single number.")
    if np.isnan(array).any():
        raise ValueError(f"{of} has NaN: the run was lost before it was saved; take an older checkpoint.")
    if name in _NOT_NEGATIVE and not np.iscomplexobj(array) and (array < 0).any():
        raise ValueError(f"{of} is negative, {array.min()} at the least: torch makes it of squares, magnitudes or counts.")
    if name == "step":
        check_step(f"step of {pair}", array)
    return array


def _array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which NumPy does not know
            value = value.float()
    return np.asarray(value)
