"""What a hyperparameter may be: checked when a transformation is built, by its annotation and by the word it is called.

The annotation says of what kind it is: a number, a schedule in its place, None. Its range is told by the word: gradtx uses one
word for one thing (`b1`, `eps`, `learning_rate`, ...), so one table serves every factory. Of values only those of Python and
NumPy numbers are checked: an array may be traced.
"""

import collections.abc
import inspect
import math
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np


class Range(NamedTuple):
    """The numbers from `low` to `high`, each end included or not."""

    low: float = -math.inf
    high: float = math.inf
    low_included: bool = True
    high_included: bool = True

    def __contains__(self, number: float) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        above = number >= self.low if self.low_included else number > self.low
        below = number <= self.high if self.high_included else number < self.high
        return above and below

    def __str__(self) -> str:
        parts = []
        if self.low > -math.inf:
            parts.append(f"{'at least' if self.low_included else 'above'} {self.low:g}")
        if self.high < math.inf:
            parts.append(f"{'at most' if self.high_included else 'below'} {self.high:g}")
        return " and ".join(parts) or "a number"


NONNEGATIVE = Range(low=0)
POSITIVE = Range(low=0, low_included=False)
DECAY = Range(low=0, high=1, high_included=False)
# Negative momentum is a published technique for games (Gidel et al. 2019, https://arxiv.org/abs/1807.04740); 1 sums up.
MOMENTUM = Range(low=-1, high=1)
AT_LEAST_ONE = Range(low=1)

RANGES: Mapping[str, Range] = {
    "b1": DECAY,
    "b2": DECAY,
    "b3": DECAY,
    "decay": DECAY,
    "momentum": MOMENTUM,
    "eps": NONNEGATIVE,
    "eps_root": NONNEGATIVE,
    "learning_rate": NONNEGATIVE,
    "lr": NONNEGATIVE,
    "weight_decay": NONNEGATIVE,
    "initial_accumulator_value": NONNEGATIVE,
    "initial_scale": NONNEGATIVE,
}

_ADVICE = {
    "learning_rate": "; to ascend, negate the gradients",
    "lr": "; to ascend, negate the gradients",
}


def in_range(owner: str, name: str, value: object, allowed: Range) -> None:
    """Raise `ValueError`, naming `owner` and `name`, if `value` is a number outside `allowed`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return
    if float(value) not in allowed:
        raise ValueError(f"{owner}: {name} must be {allowed}, got {value}{_ADVICE.get(name, '')}")


class Kind(NamedTuple):
    """What an argument may be that is annotated as a number."""

    whole: bool
    scheduled: bool
    optional: bool
    shaped: bool  # whether it may be an array of any shape

    def __str__(self) -> str:
        words = ["an integer" if self.whole else "a number"]
        words += ["a schedule"] if self.scheduled else []
        words += ["None"] if self.optional else []
        return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def kinds(signature: inspect.Signature) -> dict[str, Kind]:
    """Return the kind of each argument that is annotated as a number, whatever else it may be."""
    found = {name: _kind(parameter.annotation) for name, parameter in signature.parameters.items()}
    return {name: kind for name, kind in found.items() if kind}


def of_kind(owner: str, name: str, value: Any, kind: Kind, steerable: bool = False) -> None:
    """Raise `TypeError` if `value` is clearly of another kind.

    Args:
      owner: the factory, for the error.
      name: the argument.
      value: what was given.
      kind: what it must be.
      steerable: whether `owner` makes transformations, of which each number can be made to follow a schedule.
    """
    if value is None and kind.optional:
        return
    if getattr(value, "is_factory", False):
        raise TypeError(f"{owner}: {name} must be {kind}, got {_named(value)} itself; call it: {_named(value)}(...).")
    if callable(value):
        if not kind.scheduled:
            advice = _HOW_TO_STEER.format(owner=owner, name=name) if steerable and not kind.whole else ""
            raise TypeError(f"{owner}: {name} must be {kind}, got a function, {_named(value)}.{advice}")
    elif value is None or isinstance(value, _NO_NUMBERS):
        raise TypeError(f"{owner}: {name} must be {kind}, got {value!r}.")
    elif not (kind.whole or kind.shaped) and np.ndim(value):
        raise TypeError(f"{owner}: {name} must be {kind}, got an array of shape {np.shape(value)}; jax.vmap tries several.")


def alternatives(annotation: Any) -> set[Any]:
    """Return the members of a union; an annotation that is none stands alone."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return set(typing.get_args(annotation))  # which are no unions: Python flattens them
    return {annotation}


_NO_NUMBERS = (bool, np.bool_, str, bytes, complex, tuple, list, dict)
_HOW_TO_STEER = (
    ' To let it follow a schedule write adjustable({owner}(...), {{"{owner}.{name}": schedule}})'
    " or inject_hyperparams({owner})(..., {name}=schedule)."
)


def _kind(annotation: Any) -> Kind | None:
    members = alternatives(annotation)
    functions = {each for each in members if typing.get_origin(each) is collections.abc.Callable}
    numbers = members - functions - {types.NoneType, jax.Array}
    if not numbers or not numbers <= {int, float}:
        return None
    return Kind(
        whole=float not in numbers,
        scheduled=bool(functions),
        optional=types.NoneType in members,
        shaped=jax.Array in members and not functions,
    )


def _named(function: Any) -> str:
    """A schedule by the call that made it, any other function by its name."""
    return repr(function) if getattr(function, "recipe", None) else getattr(function, "__name__", repr(function))


def is_zero(hyperparameter: Any) -> bool:
    """Return whether it is the Python number 0: what it is the weight of can be left out. A traced number never is."""
    return isinstance(hyperparameter, int | float) and hyperparameter == 0


def scalar(owner: str, name: str, value: Any) -> None:
    """Raise `ValueError`, naming `owner` and `name`, unless `value` is a number or an array of no dimensions."""
    if np.ndim(value):
        raise ValueError(f"{owner}: {name} must be a scalar, got an array of shape {np.shape(value)}.")
