"""The runs of transformers' Adafactor that are recorded: its options, and the scale of the gradients.

An option `lr_halves` stands for a learning rate that halves after every 30 steps (StepLR); all others are Adafactor's own.
"""

from typing import Any, NamedTuple

LR_HALVES = {"step_size": 30, "gamma": 0.5}

GIVEN = {"lr": 0.01, "relative_step": False}


class Case(NamedTuple):
    """A run, printed as the call that it is of."""

    options: dict[str, Any]
    scale: float = 1.0

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"Adafactor({arguments}), gradients times {self.scale:g}"


CASES = [
    Case(options, scale)
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
