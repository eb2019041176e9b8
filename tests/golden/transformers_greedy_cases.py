"""The runs of GreedyLR that are recorded: its options, and the values that it is given."""

from typing import Any

import numpy as np

CASES: list[dict[str, Any]] = [
    {"lr": 0.1},
    {"lr": 0.1, "patience": 0, "factor": 0.5, "reset_start": 3, "min_lr": 0.01, "max_lr": 0.3},
    {"lr": 0.1, "patience": 2, "factor": 0.7, "mode": "max", "cooldown": 3, "warmup": 2, "min_lr": 1e-4},
    {"lr": 0.1, "patience": 1, "factor": 0.8, "threshold": 0.01, "threshold_mode": "rel", "warmup": 1, "reset_start": 2},
    {"lr": 0.1, "patience": 1, "mode": "max", "threshold": 0.05, "threshold_mode": "rel", "cooldown": 1, "eps": 4e-3},
    {"lr": 0.1, "patience": 2, "factor": 0.6, "smooth": True, "window_size": 4, "reset_start": 2, "min_lr": 0.02},
    {"lr": 0.1, "patience": 0, "factor": 0.6, "smooth": True, "mode": "max", "window_size": 8, "cooldown": 2},
    {"lr": 1e-4, "patience": 0, "factor": 0.5, "reset_start": 20},
]


def values() -> np.ndarray:
    """Return multiples of 2⁻¹⁰ that fall, stay, rise and fall again, with noise."""
    random = np.random.default_rng(0)
    trend = np.concatenate([np.linspace(4, 1, 60), np.full(60, 1.0), np.linspace(1, 5, 60), np.linspace(5, 0.5, 70)])
    noise = np.where(np.arange(trend.size) % 50 < 20, 0, random.normal(size=trend.size) / 4)
    return np.round((trend + noise) * 2**10) / 2**10


def label(options: dict[str, Any]) -> str:
    """Return the call as text."""
    return f"greedy_lr({', '.join(f'{key}={value!r}' for key, value in options.items())})"
