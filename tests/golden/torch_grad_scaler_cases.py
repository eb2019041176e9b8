"""What PyTorch's GradScaler is recorded on: which steps overflow, and with which arguments. Needs no library."""

from typing import Any

STEPS = 40
OVERFLOWS: dict[str, set[int]] = {
    "never": set(),
    "always": set(range(STEPS)),
    "at first": {0, 1, 2, 3},
    "now and then": {0, 5, 6, 11, 12, 13, 20, 27, 39},
}
"""The steps in which a gradient is not finite."""

SCALES: list[tuple[str, dict[str, Any]]] = [
    (pattern, arguments)
    for pattern in OVERFLOWS
    for arguments in (
        {},
        {"growth_interval": 1},
        {"growth_interval": 6},
        {"init_scale": 3.0, "growth_factor": 1.5, "backoff_factor": 0.25, "growth_interval": 3},
        {"init_scale": 1000.0, "growth_factor": 1.1, "backoff_factor": 0.9, "growth_interval": 2},
        {"init_scale": 2.0**120, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 2},  # stops before infinity
    )
]

TRAINING: dict[str, Any] = {"init_scale": 2.0**16, "growth_interval": 5}
BAD_STEPS = {0: float("inf"), 1: float("nan"), 12: float("-inf"), 20: float("inf")}
TRAINING_STEPS = 30


def label(pattern: str, arguments: dict[str, Any]) -> str:
    """Return the name of a recorded trace of scales."""
    return ", ".join([pattern, *(f"{name}={value}" for name, value in arguments.items())])
