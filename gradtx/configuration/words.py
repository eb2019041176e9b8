"""Words of a config for what JSON, YAML and TOML have none for: `{"tuple": [...]}`, `{"number": "inf"}`, `{"dtype": ...}`.

Each has a way to be written, and one to be read. Both are given a function for what is inside of it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

Inner = Callable[[Any], Any]
"""Writes, or reads, what is inside."""

LARGEST = 1024
"""How many numbers an array in a config may have: more are data of a program."""


class Word(NamedTuple):
    """A word of a config."""

    means: Callable[[Any], bool]  # whether a value is written by it
    write: Callable[[Any, Inner], Any]  # the data after the word
    read: Callable[[Any, Inner], Any]  # the value of these data


# YAML's usual readers take 1e-3 for a string, so that a string like it is a number.
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def as_number(text: str) -> float | str:
    """Return the number that a string such as "3e-4" is, and any other string as it is."""
    return float(text) if _EXPONENT.fullmatch(text) else text


def _of_type(kind: type) -> Callable[[Any], bool]:
    return lambda value: type(value) is kind


# --- numbers and strings ----------------------------------------------------------------------------------------------


def _is_not_finite(value: Any) -> bool:
    return type(value) is float and not np.isfinite(value)


def _read_number(data: Any, read: Inner) -> float:
    if data not in ("inf", "-inf", "nan"):
        raise ValueError(f'a number that is not finite is "inf", "-inf" or "nan", got {data!r}.')
    return float(data)


def _looks_like_a_number(value: Any) -> bool:
    return type(value) is str and isinstance(as_number(value), float)


def _read_complex(data: Any, read: Inner) -> complex:
    real, imaginary = map(read, _list(data))
    return complex(real, imaginary)


# --- containers -------------------------------------------------------------------------------------------------------


def _write_items(value: Iterable[Any], write: Inner) -> list[Any]:
    return list(map(write, value))


def _read_items(data: Any, read: Inner) -> list[Any]:
    return list(map(read, _list(data)))


def is_plain_dict(value: Any) -> bool:
    """Return whether something is a dict that is written as it is: one of one key would be read as a call."""
    return type(value) is dict and len(value) != 1 and all(type(key) is str for key in value)


def _write_dict(value: dict[Any, Any], write: Inner) -> Any:
    if all(type(key) is str for key in value):
        return {key: write(item) for key, item in value.items()}
    return [[write(key), write(item)] for key, item in value.items()]  # keys of JSON are strings


def _read_dict(data: Any, read: Inner) -> dict[Any, Any]:
    if isinstance(data, Mapping):
        return {key: read(item) for key, item in data.items()}
    return {read(key): read(item) for key, item in _list(data)}


# --- arrays and their types -------------------------------------------------------------------------------------------

_JAX_TYPE = type(jnp.float32)
_JAX_TYPES = {each.dtype.name: each for each in vars(jnp).values() if isinstance(each, _JAX_TYPE)}
_PYTHON_TYPES = {kind.__name__: kind for kind in (bool, int, float, complex)}


def _is_array(value: Any) -> bool:
    if not isinstance(value, jax.Array | np.ndarray | np.generic) or isinstance(value, Tracer) or _is_key(value):
        return False
    is_number = jnp.issubdtype(value.dtype, jnp.number) or value.dtype == bool
    return bool(is_number) and value.size <= LARGEST


def _write_array(value: Any, write: Inner) -> dict[str, Any]:
    array = np.asarray(value)
    wide = array.astype(float) if jnp.issubdtype(array.dtype, jnp.floating) else array
    data = {"values": write(wide.tolist()), "dtype": array.dtype.name}
    return data if array.size else {**data, "shape": list(array.shape)}


def _read_array(data: Any, read: Inner) -> np.ndarray:
    fields = {key: read(value) for key, value in _dict(data, {"values", "dtype", "shape"}).items()}
    array = np.array(fields["values"], jnp.dtype(fields.get("dtype", float)))
    return array.reshape(fields.get("shape", array.shape))


def _is_key(value: Any) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def _write_key(value: Any, write: Inner) -> dict[str, Any]:
    return {"data": np.asarray(jax.random.key_data(value)).tolist(), "impl": str(jax.random.key_impl(value))}


def _read_key(data: Any, read: Inner) -> jax.Array:
    fields = _dict(data, {"data", "impl"})
    return jax.random.wrap_key_data(jnp.asarray(fields["data"], jnp.uint32), impl=fields["impl"])


def _read_type(kinds: Mapping[str, Any]) -> Callable[[Any, Inner], Any]:
    def read_type(data: Any, read: Inner) -> Any:
        if not isinstance(data, str) or data not in kinds:
            raise ValueError(f"there is no type {data!r}; there are {', '.join(kinds)}.")
        return kinds[data]

    return read_type


# --- others -----------------------------------------------------------------------------------------------------------


def _write_regex(value: re.Pattern[str], write: Inner) -> Any:
    flags = value.flags & ~re.UNICODE  # which every pattern of strings has
    return {"pattern": value.pattern, "flags": int(flags)} if flags else value.pattern


def _read_regex(data: Any, read: Inner) -> re.Pattern[str]:
    if isinstance(data, str):
        return re.compile(data)
    fields = _dict(data, {"pattern", "flags"})
    return re.compile(fields["pattern"], fields.get("flags", 0))


def _is_spec(value: Any) -> bool:
    return isinstance(value, jax.P) and jax.P(*value) == value


WORDS: Mapping[str, Word] = {
    "none": Word(lambda value: value is None, lambda value, write: [], lambda data, read: None),
    "number": Word(_is_not_finite, lambda value, write: repr(value), _read_number),
    "text": Word(_looks_like_a_number, lambda value, write: value, lambda data, read: str(data)),
    "complex": Word(_of_type(complex), lambda value, write: [write(value.real), write(value.imag)], _read_complex),
    "tuple": Word(_of_type(tuple), _write_items, lambda data, read: tuple(_read_items(data, read))),
    # A list is written as it is, but for an argument that takes tuples alone: there, that is how a tuple is written.
    "list": Word(lambda value: False, _write_items, _read_items),
    "dict": Word(lambda value: type(value) is dict and not is_plain_dict(value), _write_dict, _read_dict),
    "array": Word(_is_array, _write_array, _read_array),
    "random_key": Word(_is_key, _write_key, _read_key),
    "dtype": Word(lambda value: isinstance(value, _JAX_TYPE), lambda value, write: value.dtype.name, _read_type(_JAX_TYPES)),
    "numpy_dtype": Word(
        lambda value: isinstance(value, np.dtype) and value.name in _JAX_TYPES,
        lambda value, write: value.name,
        _read_type({name: each.dtype for name, each in _JAX_TYPES.items()}),
    ),
    "numpy_type": Word(
        lambda value: isinstance(value, type) and issubclass(value, np.generic) and np.dtype(value).name in _JAX_TYPES,
        lambda value, write: np.dtype(value).name,
        _read_type({name: each.dtype.type for name, each in _JAX_TYPES.items()}),
    ),
    "python_type": Word(
        lambda value: any(value is kind for kind in _PYTHON_TYPES.values()),
        lambda value, write: value.__name__,
        _read_type(_PYTHON_TYPES),
    ),
    "regex": Word(lambda value: isinstance(value, re.Pattern) and isinstance(value.pattern, str), _write_regex, _read_regex),
    "PartitionSpec": Word(_is_spec, _write_items, lambda data, read: jax.P(*_read_items(data, read))),
}
"""All words but those that name functions, which are read where names are."""


def _list(data: Any) -> list[Any]:
    if not isinstance(data, list | tuple):
        raise TypeError(f"a list is wanted, got {data!r}.")
    return list(data)


def _dict(data: Any, keys: set[str]) -> Mapping[str, Any]:
    if not isinstance(data, Mapping) or not data.keys() <= keys:
        raise TypeError(f"a dict of {', '.join(sorted(keys))} is wanted, got {data!r}.")
    return data
