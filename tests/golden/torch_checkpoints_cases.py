"""Training runs in torch that are carried over: their parameters by torch's names, the gradients, the optimizers."""

from typing import Any

import numpy as np

SHAPES: dict[str, tuple[int, ...]] = {"fc.weight": (3, 4), "fc.bias": (3,), "conv.weight": (2, 3, 2, 2)}
BEFORE, AFTER = 30, 20
"""Steps before the state is carried over, and after."""

ONE = [list(SHAPES)]
TWO = [["fc.weight"], ["fc.bias", "conv.weight"]]

RUNS: dict[str, tuple[str, list[list[str]], list[dict[str, Any]]]] = {
    "SGD": ("SGD", ONE, [{"lr": 0.1, "momentum": 0.9}]),
    "SGD without momentum": ("SGD", ONE, [{"lr": 0.1}]),
    "SGD with dampening": ("SGD", ONE, [{"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}]),
    "SGD in two groups": ("SGD", TWO, [{"lr": 0.1, "momentum": 0.9}, {"lr": 0.01, "momentum": 0.0}]),
    "Adam": ("Adam", ONE, [{"lr": 0.01, "weight_decay": 0.1}]),
    "Adam with amsgrad": ("Adam", ONE, [{"lr": 0.01, "amsgrad": True}]),
    "AdamW": ("AdamW", ONE, [{"lr": 0.01, "betas": (0.8, 0.95)}]),
    "AdamW in two groups": ("AdamW", TWO, [{"lr": 0.01, "weight_decay": 0.1}, {"lr": 0.02, "weight_decay": 0.0}]),
    "NAdam": ("NAdam", ONE, [{"lr": 0.01}]),
    "RAdam": ("RAdam", ONE, [{"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}]),
    "Adamax": ("Adamax", ONE, [{"lr": 0.01}]),
    "Adagrad": ("Adagrad", ONE, [{"lr": 0.1, "lr_decay": 0.1}]),
    "Adadelta": ("Adadelta", ONE, [{}]),
    "RMSprop": ("RMSprop", ONE, [{"lr": 0.01, "momentum": 0.9}]),
    "RMSprop, centered": ("RMSprop", ONE, [{"lr": 0.01, "centered": True}]),
}
"""The optimizer, the parameters of each group, and the options of each group."""


def start() -> dict[str, np.ndarray]:
    """Return the parameters before the first step."""
    return _random(np.random.default_rng(0))


def gradients() -> list[dict[str, np.ndarray]]:
    """Return the gradient at each step."""
    random = np.random.default_rng(1)
    return [_random(random) for _ in range(BEFORE + AFTER)]


def _random(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Multiples of 2⁻¹⁶ in (−1, 1)."""
    return {name: random.integers(-(2**16) + 1, 2**16, size=shape) / 2.0**16 for name, shape in SHAPES.items()}
