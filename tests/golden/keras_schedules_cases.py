"""The schedules of Keras that are recorded: the name of each with its arguments, and the steps of which it is asked."""

from typing import Any

import numpy as np

STEPS = np.concatenate([np.arange(130), [605, 999, 1000, 1001, 123_456, 999_999, 1_000_000, 1_000_001, 2_000_000]])
"""Around boundaries and restarts, and far beyond them."""

CASES: list[tuple[str, dict[str, Any]]] = [
    ("exponential_decay", {"initial_learning_rate": 0.1, "decay_steps": 30, "decay_rate": 0.96}),
    ("exponential_decay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
    ("exponential_decay", {"initial_learning_rate": 0.1, "decay_steps": 1_000_000, "decay_rate": 0.1}),
    ("piecewise_constant_decay", {"boundaries": [10], "values": [1.0, 0.5]}),
    ("piecewise_constant_decay", {"boundaries": [10, 50, 1000], "values": [1.0, 0.5, 0.7, 0.1]}),
    ("polynomial_decay", {"initial_learning_rate": 0.1, "decay_steps": 100}),
    ("polynomial_decay", {"initial_learning_rate": 0.1, "decay_steps": 30, "end_learning_rate": 0.01, "power": 0.5}),
    ("polynomial_decay", {"initial_learning_rate": 0.1, "decay_steps": 30, "cycle": True}),
    (
        "polynomial_decay",
        {"initial_learning_rate": 0.1, "decay_steps": 7, "end_learning_rate": 0.2, "power": 2.0, "cycle": True},
    ),
    ("polynomial_decay", {"initial_learning_rate": 0.1, "decay_steps": 1_000_000, "end_learning_rate": 0.0, "power": 3.0}),
    ("inverse_time_decay", {"initial_learning_rate": 0.1, "decay_steps": 30, "decay_rate": 0.5}),
    ("inverse_time_decay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 2.0, "staircase": True}),
    ("cosine_decay", {"initial_learning_rate": 0.1, "decay_steps": 100}),
    ("cosine_decay", {"initial_learning_rate": 0.1, "decay_steps": 1_000_000, "alpha": 0.1}),
    ("cosine_decay", {"initial_learning_rate": 0.1, "decay_steps": 100, "alpha": 0.2, "warmup_steps": 10}),
    ("cosine_decay", {"initial_learning_rate": 0.0, "decay_steps": 90, "warmup_target": 0.3, "warmup_steps": 30}),
    ("cosine_decay", {"initial_learning_rate": 0.5, "decay_steps": 90, "alpha": 0.1, "warmup_target": 0.3, "warmup_steps": 7}),
    ("cosine_decay", {"initial_learning_rate": 0.5, "decay_steps": 90, "warmup_target": 0.3}),
    ("cosine_decay_restarts", {"initial_learning_rate": 0.1, "first_decay_steps": 10}),
    (
        "cosine_decay_restarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 10, "t_mul": 1.0, "m_mul": 0.9, "alpha": 0.1},
    ),
    ("cosine_decay_restarts", {"initial_learning_rate": 0.1, "first_decay_steps": 7, "t_mul": 1.5, "m_mul": 0.8, "alpha": 0.2}),
    ("cosine_decay_restarts", {"initial_learning_rate": 0.1, "first_decay_steps": 4, "t_mul": 1.1, "m_mul": 1.1}),
    ("cosine_decay_restarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5, "t_mul": 3.0}),
]


def call(name: str, arguments: dict[str, Any]) -> str:
    """Return the call as text."""
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
