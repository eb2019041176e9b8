"""What the recorded optimizers are given: where they start, and the gradient at each step.

Gradients do not depend on the parameters, so that rounding is not amplified; all numbers are small multiples of a power of
two, the same on every machine. Needs NumPy alone: the libraries that are recorded run it too.
"""

from typing import Any, NamedTuple

import numpy as np

SHAPES: dict[str, tuple[int, ...]] = {"bias": (5,), "deep": (2, 3, 2), "kernel": (4, 3), "scalar": ()}
STEPS = 100
KEPT = (1, 2, 3, 4, 5, 10, 20, 31, 32, 50, 75, 100)
"""The steps after which the parameters are recorded."""

Arrays = dict[str, np.ndarray]


def start() -> Arrays:
    """Return the parameters before the first step, in (−2, 2)."""
    random = np.random.default_rng(0)
    return {name: 2 * _dyadic(random, shape) for name, shape in SHAPES.items()}


def gradients(scale: float = 1.0) -> list[Arrays]:
    """Return the gradient at each step: it drifts, some coordinates are zero at times, and all of them at every ninth step.

    Args:
      scale: a power of two, or whatever the product may be rounded by.
    """
    random = np.random.default_rng(1)
    return [{name: scale * _gradient(random, step, shape) for name, shape in SHAPES.items()} for step in range(STEPS)]


class Case(NamedTuple):
    """A run of an optimizer that is recorded, printed as the call that it is of.

    An option `lr_halves` stands for a learning rate that halves after every 30 steps; all others are the library's own.
    """

    optimizer: str
    options: dict[str, Any]
    scale: float = 1.0

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{self.optimizer}({arguments}), gradients times {self.scale:g}"


def cases(optimizer: str, *options: dict[str, Any]) -> list[Case]:
    """Return each set of options with gradients of two scales; the first also with a learning rate that halves."""
    falling = [Case(optimizer, {**options[0], "lr_halves": True}, scale) for scale in (1.0, 1e-4)]
    return [Case(optimizer, each, scale) for each in options for scale in (1.0, 1e-4)] + falling


def _gradient(random: np.random.Generator, step: int, shape: tuple[int, ...]) -> np.ndarray:
    g = _dyadic(random, shape) + (step // 25 - 1.5) / 4
    present = np.arange(g.size).reshape(shape) % 4 != step % 4
    return g * present * (step % 9 != 8)


def _dyadic(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Multiples of 2⁻¹⁶ in (−1, 1)."""
    return random.integers(-(2**16) + 1, 2**16, size=shape) / 2.0**16


def flat(params: Arrays) -> np.ndarray:
    """Return all parameters in one row, in the order of `SHAPES`."""
    return np.concatenate([np.ravel(params[name]) for name in SHAPES])
