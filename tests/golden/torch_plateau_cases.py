"""The arguments of ReduceLROnPlateau and the series of values that are recorded."""

from typing import Any

import numpy as np

LR = 0.3
LENGTH = 150


def series() -> dict[str, np.ndarray]:
    """Values by the name of what they do."""
    steps = np.arange(LENGTH)
    noise = np.random.default_rng(0).normal(size=LENGTH)
    improving = 1 / (1 + 0.1 * steps)
    with_holes = improving + 0.05 * noise
    with_holes[[0, 7, 8, 50]] = [np.nan, np.nan, np.inf, -np.inf]
    return {
        "constant": np.ones(LENGTH),
        "improving": improving,
        "worsening": 1 + 0.01 * steps,
        "negative": -1 - 1e-5 * steps,
        "negative and rising": -2 + 0.01 * steps,
        "around zero": np.cos(0.2 * steps) * np.exp(-0.02 * steps),
        "noisy": improving + 0.05 * noise,
        "not finite": with_holes,
    }


CASES: list[dict[str, Any]] = [
    {},
    {"patience": 0},
    {"patience": 2, "factor": 0.5},
    {"patience": 1, "factor": 0.5, "cooldown": 4},
    {"patience": 0, "factor": 0.7, "cooldown": 1},
    {"mode": "max", "patience": 3},
    {"mode": "max", "patience": 3, "threshold": 0.01, "threshold_mode": "abs"},
    {"patience": 3, "threshold": 0.02, "threshold_mode": "abs"},
    {"patience": 3, "threshold": 0.05},
    {"patience": 1, "min_lr": 0.01},
    {"patience": 1, "min_lr": 0.02, "factor": 0.5, "eps": 0.01},
    {"patience": 4, "factor": 0.0},
]


def label(options: dict[str, Any], name: str) -> str:
    """Return the call as text, and the name of the series."""
    return f"{', '.join(f'{key}={value!r}' for key, value in options.items())} on {name}"
