"""What numbers a hyperparameter may be: told by the word it is called.

gradtx uses one word for one thing (`b1`, `eps`, `learning_rate`, ...), so one table serves every factory. Of values only those
of Python and NumPy numbers are checked: an array may be traced.
"""

import math
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradtx.errors import unnamed


class Range(NamedTuple):
    """The numbers from `low` to `high`, each end included or not."""

    low: float = -math.inf
    high: float = math.inf
    low_included: bool = True
    high_included: bool = True
    infinite: bool = False  # whether infinity is one of them, as it is of limits

    def __contains__(self, number: float) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        if math.isinf(number) and not self.infinite:
            return False
        above = number >= self.low if self.low_included else number > self.low
        below = number <= self.high if self.high_included else number < self.high
        return above and below

    def __str__(self) -> str:
        parts = []
        if self.low > -math.inf:
            parts.append(f"{'at least' if self.low_included else 'above'} {self.low:g}")
        if self.high < math.inf:
            parts.append(f"{'at most' if self.high_included else 'below'} {self.high:g}")
        if not self.infinite and not parts:
            parts.append("finite")
        return " and ".join(parts) or "a number"


NONNEGATIVE = Range(low=0)
POSITIVE = Range(low=0, low_included=False)
DECAY = Range(low=0, high=1, high_included=False)
# Negative momentum is a published technique for games (Gidel et al. 2019, https://arxiv.org/abs/1807.04740); 1 sums up.
MOMENTUM = Range(low=-1, high=1)
AT_LEAST_ONE = Range(low=1)
LIMIT = Range(low=0, low_included=False, infinite=True)
"""What something is kept below: infinity is no limit."""

RANGES: Mapping[str, Range] = {
    "b1": DECAY,
    "b2": DECAY,
    "b3": DECAY,
    "decay": DECAY,
    "momentum": MOMENTUM,
    "eps": NONNEGATIVE,
    "eta": NONNEGATIVE,
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


def in_range(name: str, value: object, allowed: Range) -> None:
    """Raise `ValueError` if `value`, which the error calls `name`, is a number outside `allowed`."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return
    number = _as_float(value)
    too_large = math.isinf(number) and isinstance(value, int)  # larger than what a float can hold
    if too_large or number not in allowed:
        also = " and finite" if math.isinf(number) and str(allowed) != "finite" else ""
        raise unnamed(ValueError, f"{name} must be {allowed}{also}, got {shortened(value)}{_ADVICE.get(name, '')}")


def _as_float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer that no float can hold
        return math.copysign(math.inf, number > 0 or -1)


def shortened(value: object) -> str:
    """Return the `repr` of what was given; of a long one the beginning."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    text = str(value) if isinstance(value, np.generic) else repr(value)  # np.float32(0.1) is 0.1
    return text if len(text) <= 80 else f"{text[:60]}..."


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union; an annotation that is not a union stands alone."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)  # which are not unions: Python flattens them
    return (annotation,)


def is_zero(hyperparameter: Any) -> bool:
    """Return whether it is the Python number 0: what it is the weight of can be left out. A traced number never is."""
    return isinstance(hyperparameter, int | float) and hyperparameter == 0


def scalar(name: str, value: Any) -> None:
    """Raise `ValueError` unless `value`, which the error calls `name`, is a number or an array of no dimensions."""
    if np.ndim(value):
        raise unnamed(ValueError, f"{name} must be a scalar, got an array of shape {np.shape(value)}.")
