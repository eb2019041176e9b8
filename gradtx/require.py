"""What a hyperparameter may be: checked when a transformation is built, by the word it is called.

gradtx uses one word for one thing (`b1`, `eps`, `learning_rate`, ...), so one table serves every factory. Only Python and
NumPy numbers are checked: an array may be traced, and a schedule is not a number.
"""

import math
import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

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
# Negative momentum is a published technique for games (Gidel et al. 2019, https://arxiv.org/abs/1807.04740).
MOMENTUM = Range(low=-1, high=1, low_included=False, high_included=False)
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


def is_zero(hyperparameter: Any) -> bool:
    """Return whether it is the Python number 0: what it is the weight of can be left out. A traced number never is."""
    return isinstance(hyperparameter, int | float) and hyperparameter == 0


def scalar(owner: str, name: str, value: Any) -> None:
    """Raise `ValueError`, naming `owner` and `name`, unless `value` is a number or an array of no dimensions."""
    if np.ndim(value):
        raise ValueError(f"{owner}: {name} must be a scalar, got an array of shape {np.shape(value)}.")
