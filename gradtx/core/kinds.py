"""Kinds of arguments, read from annotations: a number, an integer, True or False, a schedule, one of some words, a dtype, ...

What is meant is taken for what is asked for: 2.0 for the integer 2, a NumPy bool for a bool. Of arrays only what is known
without their values is looked at: they may be traced.
"""

import collections.abc
import itertools
import numbers
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike

from gradtx import require
from gradtx.core.description import is_transformation
from gradtx.core.protocol import GradientTransformation, Transformation
from gradtx.values import is_factory

REFUSED = object()
"""What is read of an argument of another kind."""

Part = tuple[Any, Any, "Kind | None"]
"""What is in a container: its key, the part itself, and what it may be, None for anything."""


class Alternative(NamedTuple):
    """One of the things that an argument may be."""

    words: tuple[str, ...]  # what it is called, in errors
    read: Callable[[Any], Any]  # returns an argument as it is used, or `REFUSED`
    parts: Callable[[Any], Iterable[Part]] = lambda value: ()


class Kind(NamedTuple):
    """What an argument may be."""

    alternatives: tuple[Alternative, ...]

    @property
    def words(self) -> list[str]:
        """What it is called."""
        return list(dict.fromkeys(word for alternative in self.alternatives for word in alternative.words))

    def __str__(self) -> str:
        return " or ".join([", ".join(self.words[:-1]), self.words[-1]] if self.words[1:] else self.words)

    def read(self, value: Any) -> Any:
        """Return an argument as it is used, or `REFUSED`."""
        for alternative in self.alternatives:
            if (meant := alternative.read(value)) is not REFUSED:
                return meant
        return REFUSED

    def parts(self, value: Any) -> Iterator[Part]:
        """Yield what is in a container."""
        for alternative in self.alternatives:
            yield from alternative.parts(value)


def kind_of(annotation: Any) -> Kind | None:
    """Return the kind of an argument with this annotation; None if it may be anything."""
    number, others = _number_of(require.alternatives(annotation))
    found = [_alternative(member, scheduled=number is not None) for member in others]
    if None in found:
        return None
    known = tuple(each for each in (number, *found) if each)
    return Kind(known) if known else None


def _number_of(members: tuple[Any, ...]) -> tuple[Alternative | None, list[Any]]:
    """What the members of a union say of numbers, and the other members, None last."""
    taken: set[Any] = set()
    number = None
    if _ARRAY_LIKE.issubset(members):
        number, taken = _NUMBERS, _ARRAY_LIKE
    elif float in members:
        number, taken = _NUMBER, {int, float, jax.Array}
    elif int in members:
        number, taken = (_SEED if jax.Array in members else _INTEGER), {int, jax.Array}
    others = [member for member in members if member not in taken]
    if _DTYPE_LIKE.issubset(others):
        others = [DTypeLike, *(member for member in others if member not in _DTYPE_LIKE)]
    return number, sorted(others, key=lambda member: member is types.NoneType)


# --- what is read -----------------------------------------------------------------------------------------------------


def _number(value: Any) -> Any:
    if type(value) is float:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 2**31 else _as_float(value)  # JAX has no larger integers
    if _is_array(value):
        return value if value.ndim == 0 and _is_real(value) else REFUSED
    if hasattr(value, "__jax_array__"):
        return value if np.shape(value) == () else REFUSED
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else REFUSED


def _numbers(value: Any) -> Any:
    if _is_array(value) and value.ndim:
        return value if jnp.issubdtype(value.dtype, jnp.number) else REFUSED
    return value if hasattr(value, "__jax_array__") else _number(value)


def _integer(value: Any) -> Any:
    if isinstance(value, Tracer):
        return _number(value)
    if _is_array(value):  # also a scalar of NumPy
        return _integer(value.item()) if value.ndim == 0 else REFUSED
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else REFUSED


def _seed(value: Any) -> Any:
    return value if isinstance(value, jax.Array) or (_is_array(value) and value.ndim) else _integer(value)


def _flag(value: Any) -> Any:
    if isinstance(value, bool | Tracer):
        return value
    if _is_array(value) and value.ndim == 0 and value.dtype == bool:
        return bool(value)
    return bool(value) if isinstance(value, int) and value in (0, 1) else REFUSED


def _dtype(value: Any) -> Any:
    if value is None or isinstance(value, float | complex | list | tuple | dict) or _is_array(value):
        return REFUSED  # `jnp.dtype` has something to say of these, too
    try:
        dtype = jnp.dtype(value)
    except TypeError:
        return REFUSED
    return value if jnp.issubdtype(dtype, jnp.bool_) or jnp.issubdtype(dtype, jnp.number) else REFUSED


def _as_float(value: int) -> Any:
    try:
        return float(value)
    except OverflowError:
        return value  # which no range has


def is_numeric(value: Any) -> bool:
    """Return whether something is a number or an array of numbers, or of bools, which count as 0 and 1."""
    return isinstance(value, int | float) or _is_array(value) or hasattr(value, "__jax_array__")


def _is_array(value: Any) -> TypeGuard[Any]:
    return isinstance(value, np.ndarray | np.generic | jax.Array)


def _is_real(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)


_NUMBER = Alternative(("a number",), _number)
_NUMBERS = Alternative(("a number", "an array"), _numbers)
_INTEGER = Alternative(("an integer",), _integer)
_SEED = Alternative(("an integer", "a key of jax.random"), _seed)

_ARRAY_LIKE = set(typing.get_args(ArrayLike))
_DTYPE_LIKE = set(typing.get_args(DTypeLike))


# --- what else an annotation may say ----------------------------------------------------------------------------------


def _alternative(annotation: Any, *, scheduled: bool) -> Alternative | None:
    """The alternative that a member of a union is; None if nothing is known of it."""
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    if _is_function(annotation):
        return _function(annotation, "a schedule" if scheduled else "a function")
    if typing.get_origin(annotation) is typing.Literal:
        return _words(typing.get_args(annotation))
    of_gradtx = isinstance(annotation, type) and issubclass(annotation, GradientTransformation)
    if of_gradtx or annotation is Transformation:
        return Alternative(("a gradient transformation",), lambda value: value if is_transformation(value) else REFUSED)
    return _container(annotation)


def _of_type(word: str, type_: Any) -> Alternative:
    return Alternative((word,), lambda value: value if isinstance(value, type_) else REFUSED)


_SIMPLE: dict[Any, Alternative] = {
    types.NoneType: _of_type("None", types.NoneType),
    bool: Alternative(("True", "False"), _flag),
    str: _of_type("a string", str),
    re.Pattern: _of_type("a regular expression", re.Pattern),
    re.Pattern[str]: _of_type("a regular expression", re.Pattern),
    jax.Array: Alternative(("an array",), lambda value: value if _is_array(value) else REFUSED),
    DTypeLike: Alternative(("a dtype",), _dtype),
}


def _is_function(annotation: Any) -> bool:
    is_protocol = getattr(annotation, "_is_protocol", False) and "__call__" in vars(annotation)
    return is_protocol or typing.get_origin(annotation) is collections.abc.Callable


def _function(annotation: Any, word: str) -> Alternative:
    returns = typing.get_args(annotation)[-1:]
    of_transformations = any(isinstance(made, type) and issubclass(made, GradientTransformation) for made in returns)

    def read(value: Any) -> Any:
        return value if callable(value) and (of_transformations or not is_factory(value)) else REFUSED

    return Alternative((word,), read)


def _words(words: tuple[Any, ...]) -> Alternative:
    def read(value: Any) -> Any:
        return value if isinstance(value, str | int) and (type(value), value) in known else REFUSED

    known = [(type(word), word) for word in words]
    return Alternative(tuple(f'"{word}"' if isinstance(word, str) else str(word) for word in words), read)


def _container(annotation: Any) -> Alternative | None:
    """A tuple, a sequence or a mapping; None if it is another class."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple and arguments[-1:] != (...,):
        kinds = [kind_of(argument) for argument in arguments]
        members = ", ".join(str(kind or "anything") for kind in kinds)
        return _holding(f"a tuple ({members})", lambda value: _members(value, tuple | list, kinds))
    if origin in _SEQUENCES:
        word, type_ = _SEQUENCES[origin]
        kind = kind_of(arguments[0])
        return _holding(word, lambda value: _members(value, type_, itertools.repeat(kind)))
    if origin is collections.abc.Mapping:
        key_kind, kind = map(kind_of, arguments)
        return _holding("a dict", lambda value: _items(value, key_kind, kind))
    return None


_SEQUENCES: dict[Any, tuple[str, Any]] = {
    tuple: ("a tuple", tuple | list),
    collections.abc.Sequence: ("a list", collections.abc.Sequence),
    collections.abc.Iterable: ("a list", collections.abc.Collection),
}


def _holding(word: str, parts: Callable[[Any], list[Part] | None]) -> Alternative:
    """A container, which is read by its parts: `parts` returns None for anything else."""

    def read(value: Any) -> Any:
        found = parts(value)
        if found is None:
            return REFUSED
        meant = [part if kind is None else kind.read(part) for _, part, kind in found]
        if any(part is REFUSED for part in meant):
            return REFUSED
        if isinstance(value, collections.abc.Mapping):
            return dict(zip(value, meant, strict=True)) if _differ(meant, found) else value
        if isinstance(value, np.ndarray | jax.Array) or _differ(meant, found):
            return tuple(meant) if isinstance(value, tuple) else meant
        return value

    return Alternative((word,), read, lambda value: parts(value) or ())


def _differ(meant: list[Any], found: list[Part]) -> bool:
    return any(new is not old for new, (_, old, _) in zip(meant, found, strict=True))


def _members(value: Any, type_: Any, kinds: Iterable[Kind | None]) -> list[Part] | None:
    if isinstance(value, np.ndarray | jax.Array) and value.ndim == 1 and type_ is collections.abc.Sequence:
        value = value.tolist() if isinstance(value, np.ndarray) else list(value)
    if not isinstance(value, type_) or isinstance(value, str | bytes | GradientTransformation):
        return None
    if isinstance(kinds, list) and len(kinds) != len(value):
        return None
    return [(k, member, kind) for k, (member, kind) in enumerate(zip(value, kinds, strict=False))]


def _items(value: Any, key_kind: Kind | None, kind: Kind | None) -> list[Part] | None:
    if not isinstance(value, collections.abc.Mapping):
        return None
    strange = [key for key in value if key_kind and key_kind.read(key) is REFUSED]
    return [(key, key, key_kind) for key in strange] or [(key, member, kind) for key, member in value.items()]
