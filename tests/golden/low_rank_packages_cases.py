"""The runs of optimizers of low rank that are recorded, by name: the class, its options, those of the matrices alone.

Gradients do not depend on the parameters, and none vanishes: after an update of 0 both packages all but end.
"""

from typing import Any, NamedTuple

import numpy as np

PACKAGES = {"apollo-torch": "1.0.3", "fira": "1.0.2"}
SHAPES = {"bias": (5,), "square": (4, 4), "tall": (6, 3), "wide": (3, 6)}
STEPS = 40


class Case(NamedTuple):
    """A run that is recorded: the class, its options, and the options of the matrices alone."""

    optimizer: str
    options: dict[str, Any]
    of_matrices: dict[str, Any]


RANDOM = {"update_proj_gap": 7, "proj": "random", "proj_type": "std"}
CASES = {
    "apollo": Case("apollo_torch.APOLLOAdamW", {"lr": 2**-6}, {**RANDOM, "rank": 2, "scale": 1.0, "scale_type": "channel"}),
    "apollo, scaled": Case(
        "apollo_torch.APOLLOAdamW",
        {"lr": 2**-6, "betas": (0.8, 0.97), "eps": 1e-3, "weight_decay": 0.1},
        {**RANDOM, "rank": 1, "scale": 4.0, "scale_type": "channel"},
    ),
    "apollo_mini": Case(
        "apollo_torch.APOLLOAdamW", {"lr": 2**-8}, {**RANDOM, "rank": 1, "scale": 128.0, "scale_type": "tensor"}
    ),
    "apollo, unbounded": Case(
        "apollo_torch.APOLLOAdamW",
        {"lr": 2**-6, "disable_nl": True},
        {**RANDOM, "rank": 3, "scale": 1.0, "scale_type": "channel"},
    ),
    "fira": Case("fira.FiraAdamW", {"lr": 2**-6}, {"rank": 2, "update_proj_gap": 100, "alpha": 1.0, "proj_type": "std"}),
    # A singular vector has no sign of its own: without momentum it does not matter that a new one has another.
    "fira, in turns": Case(
        "fira.FiraAdamW",
        {"lr": 2**-6, "betas": (0.0, 0.97), "eps": 1e-3, "weight_decay": 0.1},
        {"rank": 1, "update_proj_gap": 7, "alpha": 0.25, "proj_type": "std"},
    ),
}


def start() -> dict[str, np.ndarray]:
    """Return the parameters before the first step."""
    random = np.random.default_rng(0)
    return {name: 2 * _dyadic(random, shape) for name, shape in SHAPES.items()}


def gradients() -> list[dict[str, np.ndarray]]:
    """Return the gradients of each step, which drift and now and then double."""
    random = np.random.default_rng(1)
    return [
        {name: 2.0 ** (step % 5 == 3) * (_dyadic(random, shape) + step / STEPS) for name, shape in SHAPES.items()}
        for step in range(STEPS)
    ]


def _dyadic(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Multiples of 2⁻¹⁶ in (−1, 1)."""
    return random.integers(-(2**16) + 1, 2**16, size=shape) / 2.0**16
