"""The calls of clip_grad_norm_ and clip_grad_value_ that are recorded, and the gradients that they are given."""

from typing import Any

import numpy as np

CASES: list[tuple[str, dict[str, Any]]] = [
    *(
        ("clip_grad_norm", {"max_norm": max_norm, "norm_type": norm_type})
        for max_norm in (1.0, 1e-3, 1e9, 0.0)
        for norm_type in (2.0, 1.0, float("inf"), 3.0, 1.5, 0.5, 20.0)
    ),
    ("clip_grad_norm", {"max_norm": 1.0, "norm_type": "inf"}),
    *(("clip_grad_value", {"clip_value": value}) for value in (0.5, 1e-4, 1e9)),
]


def gradients() -> dict[str, dict[str, np.ndarray]]:
    """Gradients of two parameters, by what they are."""
    rng = np.random.default_rng(1)
    usual = {"kernel": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
    return {
        "usual": usual,
        "small": {name: 1e-6 * g for name, g in usual.items()},
        "huge": {name: 1e12 * g for name, g in usual.items()},
        "zero": {name: 0 * g for name, g in usual.items()},
        "infinite": {"kernel": usual["kernel"], "bias": np.array([1.0, np.inf, -2.0])},
        "not a number": {"kernel": usual["kernel"], "bias": np.array([1.0, np.nan, -2.0])},
    }


def label(name: str, arguments: dict[str, Any], of: str) -> str:
    """Return the call as text, and which gradients it is given."""
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())}) of {of}"
