"""The runs of transformers' Adafactor that are recorded: its options, and the scale of the gradients.

An option `lr_halves` stands for a learning rate that halves after every 30 steps (StepLR); all others are Adafactor's own.
"""

from typing import Any

from problem import Case

LR_HALVES = {"step_size": 30, "gamma": 0.5}

GIVEN: dict[str, Any] = {"lr": 0.01, "relative_step": False}


CASES = [
    Case("Adafactor", options, scale)
    for options in (
        {},
        {"warmup_init": True, "weight_decay": 0.1},
        {"scale_parameter": False, "beta1": 0.9, "weight_decay": 0.1},
        {"beta1": 0.9, "weight_decay": 0.1, "clip_threshold": 0.5},
        {**GIVEN, "scale_parameter": False},
        {**GIVEN, "scale_parameter": False, "weight_decay": 0.1, "lr_halves": True},
        {**GIVEN, "eps": (1e-6, 0.5), "decay_rate": -0.5, "beta1": 0.8, "weight_decay": 0.1, "lr_halves": True},
    )
    for scale in (1.0, 1e-4)
]
