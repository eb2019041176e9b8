"""The schedules of transformers that are recorded: the name of each with its arguments, and the steps of which it is asked."""

from typing import Any

import numpy as np

LR = 0.3
STEPS = np.concatenate([np.arange(130), [999, 1000, 1001, 123_456, 999_999, 1_000_000, 1_000_001, 2_000_000]])
"""Around warm-ups and ends, and far beyond them."""

_SHORT = {"num_warmup_steps": 10, "num_training_steps": 100}
_WITHOUT_WARMUP = {"num_warmup_steps": 0, "num_training_steps": 100}
_UNEVEN = {"num_warmup_steps": 7, "num_training_steps": 61}
_WARMUP_ALONE = {"num_warmup_steps": 20, "num_training_steps": 20}
_TOO_SHORT = {"num_warmup_steps": 20, "num_training_steps": 15}
_LONG = {"num_warmup_steps": 1000, "num_training_steps": 1_000_000}
_LENGTHS = (_SHORT, _WITHOUT_WARMUP, _UNEVEN, _TOO_SHORT, _LONG)

Case = tuple[str, dict[str, Any]]


def _each(name: str, *options: dict[str, Any], lengths: tuple[dict[str, Any], ...] = _LENGTHS) -> list[Case]:
    """The first options with each of `lengths`, the others with the first."""
    first, *others = options
    return [(name, {**length, **first}) for length in lengths] + [(name, {**lengths[0], **each}) for each in others]


def _wsd(warmup: int, decay: int, **options: Any) -> dict[str, Any]:
    return {"num_warmup_steps": warmup, "num_decay_steps": decay, **options}


CASES: list[Case] = [
    ("get_constant_schedule", {}),
    *(("get_constant_schedule_with_warmup", {"num_warmup_steps": steps}) for steps in (0, 1, 10, 1000)),
    *_each("get_linear_schedule_with_warmup", {}, lengths=(*_LENGTHS, _WARMUP_ALONE)),
    *_each(
        "get_cosine_schedule_with_warmup",
        {},
        *({"num_cycles": n} for n in (0, 0.3, 1, 2.5)),
        lengths=(*_LENGTHS, _WARMUP_ALONE),
    ),
    *_each("get_cosine_with_hard_restarts_schedule_with_warmup", {}, {"num_cycles": 3}, {"num_cycles": 4}, {"num_cycles": 2.5}),
    ("get_cosine_with_hard_restarts_schedule_with_warmup", {**_LONG, "num_cycles": 5}),
    *_each("get_polynomial_decay_schedule_with_warmup", {}, {"lr_end": 0.01, "power": 2.0}, {"lr_end": 0, "power": 0.5}),
    *(("get_inverse_sqrt_schedule", {"num_warmup_steps": steps}) for steps in (0, 10, 1000)),
    *(("get_inverse_sqrt_schedule", {"num_warmup_steps": steps, "timescale": 25}) for steps in (0, 10)),
    *_each(
        "get_cosine_with_min_lr_schedule_with_warmup",
        {"min_lr": 0.03},
        {"min_lr_rate": 0.2, "num_cycles": 1.5},
        {"min_lr_rate": 0},
    ),
    *_each(
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
        {"min_lr": 0.03},
        {"min_lr_rate": 0.2, "warmup_lr_rate": 0.5, "num_cycles": 1.5},
        {"min_lr_rate": 0, "warmup_lr_rate": 0.01},
    ),
    (
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
        {"num_warmup_steps": 1, "num_training_steps": 9, "min_lr": 0, "warmup_lr_rate": 0.5},
    ),
    *(
        ("get_wsd_schedule", _wsd(20, 40, num_training_steps=100, warmup_type=rise, decay_type=fall, min_lr_ratio=ratio))
        for rise in ("linear", "cosine", "1-sqrt")
        for fall, ratio in (("linear", 0), ("cosine", 0.1), ("1-sqrt", 0.1))
    ),
    ("get_wsd_schedule", _wsd(20, 40, num_training_steps=100)),
    ("get_wsd_schedule", _wsd(0, 0, num_stable_steps=30, min_lr_ratio=0.5)),
    ("get_wsd_schedule", _wsd(20, 40, num_stable_steps=0, num_cycles=1.5, min_lr_ratio=0.2)),
    ("get_wsd_schedule", _wsd(20, 40, num_training_steps=50, decay_type="linear")),
    ("get_wsd_schedule", _wsd(20, 70, num_training_steps=50, decay_type="1-sqrt")),
    ("get_wsd_schedule", _wsd(1000, 900_000, num_training_steps=1_000_000, warmup_type="1-sqrt", decay_type="1-sqrt")),
]

NAMED: list[tuple[str, dict[str, Any]]] = [
    ("linear", _SHORT),
    ("cosine", _SHORT),
    ("cosine_with_restarts", {**_SHORT, "scheduler_specific_kwargs": {"num_cycles": 3}}),
    ("polynomial", {**_SHORT, "scheduler_specific_kwargs": {"lr_end": 0.01, "power": 2.0}}),
    ("constant", {}),
    ("constant_with_warmup", {"num_warmup_steps": 10}),
    ("inverse_sqrt", {**_SHORT, "scheduler_specific_kwargs": {"timescale": 25}}),
    ("cosine_with_min_lr", {**_SHORT, "scheduler_specific_kwargs": {"min_lr_rate": 0.2}}),
    ("cosine_warmup_with_min_lr", {**_SHORT, "scheduler_specific_kwargs": {"min_lr_rate": 0.2, "warmup_lr_rate": 0.5}}),
    ("warmup_stable_decay", {**_SHORT, "scheduler_specific_kwargs": {"num_decay_steps": 40}}),
]
"""What is asked of get_scheduler."""


def label(name: str, arguments: dict[str, Any]) -> str:
    """Return the call as text."""
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
