"""The runs of low-bit optimizers that are recorded, what they are given, and numbers to quantize."""

from typing import Any

import numpy as np

SHAPES: dict[str, tuple[int, ...]] = {"kernel": (32, 128), "odd": (65, 67), "bias": (16,)}
STEPS, KEPT = 60, (1, 10, 60)
OPTIONS: dict[str, Any] = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1}
CASES: dict[str, dict[str, Any]] = {
    "bitsandbytes AdamW8bit": {"bits": 8, "block_size": 256},
    "torchao AdamW8bit": {"bits": 8, "block_size": 256},
    "torchao AdamW4bit": {"bits": 4, "block_size": 128},
}

Arrays = dict[str, np.ndarray]


def shapes_of(label: str) -> dict[str, tuple[int, ...]]:
    """torchao keeps arrays that blocks do not divide in float32, which is no test of its codes."""
    return {name: shape for name, shape in SHAPES.items() if name != "odd" or label.startswith("bitsandbytes")}


def start() -> Arrays:
    """The parameters before the first step."""
    rng = np.random.default_rng(0)
    return {name: (0.02 * rng.normal(size=shape)).astype(np.float32) for name, shape in SHAPES.items()}


def gradients() -> list[Arrays]:
    """Gradients that are spread over two decades, the same entries small all along."""
    rng = np.random.default_rng(1)
    scales = {name: 10.0 ** rng.uniform(-3, -1, size=shape) for name, shape in SHAPES.items()}
    return [
        {name: (scales[name] * (0.3 + rng.normal(size=shape))).astype(np.float32) for name, shape in SHAPES.items()}
        for _ in range(STEPS)
    ]


def numbers(signed: bool) -> np.ndarray:
    """200 blocks of 256 numbers over seven decades, each with a 1."""
    rng = np.random.default_rng(2)
    x = 10.0 ** rng.uniform(-7, 0, size=(200, 256)) * (np.sign(rng.normal(size=(200, 256))) if signed else 1)
    x[:, 0] = 1
    return x.astype(np.float32)


def flat(arrays: Arrays, label: str) -> np.ndarray:
    """All arrays in one row."""
    return np.concatenate([np.ravel(arrays[name]) for name in shapes_of(label)])
