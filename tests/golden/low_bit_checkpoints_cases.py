"""The runs of low-bit optimizers whose `state_dict()` is recorded in the middle."""

from typing import Any

from low_bit_optimizers_cases import OPTIONS

BEFORE, AFTER = 10, 10
"""Steps before the state is recorded, and after."""

RUNS: dict[str, dict[str, Any]] = {
    "bitsandbytes AdamW8bit": OPTIONS,
    "bitsandbytes Lion8bit": {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.1},
    "bitsandbytes SGD8bit": {"lr": 1e-2, "momentum": 0.9},
    "torchao AdamW8bit": OPTIONS,
    "torchao AdamW4bit": OPTIONS,
}
"""The options of each optimizer."""


def names_of(label: str) -> list[str]:
    """The parameters of a run: one with whole blocks, one without, which torchao keeps in float32, and a small one."""
    return ["kernel", "odd", "bias"] if label == "bitsandbytes AdamW8bit" else ["kernel", "bias"]
