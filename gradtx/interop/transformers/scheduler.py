"""A schedule of transformers.optimization by its name."""

from collections.abc import Callable, Mapping
from typing import Any

from gradtx.core import Scalar, Schedule, factory
from gradtx.interop.transformers.cosine import (
    get_cosine_schedule_with_warmup,
    get_cosine_with_hard_restarts_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
)
from gradtx.interop.transformers.schedules import (
    get_constant_schedule,
    get_constant_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
)
from gradtx.interop.transformers.wsd import get_wsd_schedule

SCHEDULES: Mapping[str, Callable[..., Schedule]] = {
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
    "cosine_with_restarts": get_cosine_with_hard_restarts_schedule_with_warmup,
    "polynomial": get_polynomial_decay_schedule_with_warmup,
    "constant": get_constant_schedule,
    "constant_with_warmup": get_constant_schedule_with_warmup,
    "inverse_sqrt": get_inverse_sqrt_schedule,
    "cosine_with_min_lr": get_cosine_with_min_lr_schedule_with_warmup,
    "cosine_warmup_with_min_lr": get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
    "warmup_stable_decay": get_wsd_schedule,
}

TRANSFORMATIONS: Mapping[str, str] = {
    "reduce_lr_on_plateau": "gradtx.interop.torch.reduce_lr_on_plateau",
    "greedy": "gradtx.interop.transformers.greedy_lr",
}
"""What reads the loss is not a function of the step, but a member of the chain."""


@factory
def get_scheduler(
    name: str,
    lr: Scalar,
    num_warmup_steps: Scalar | None = None,
    num_training_steps: Scalar | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
) -> Schedule:
    """Return the schedule that the Trainer calls by a name, its `lr_scheduler_type`.

    Args:
      name: "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt",
        "cosine_with_min_lr", "cosine_warmup_with_min_lr" or "warmup_stable_decay"; a `SchedulerType` will do.
      lr: the learning rate that the optimizer would be made with.
      num_warmup_steps: how many steps the rise takes; "constant" does not read it, and all others need it. Of a Trainer whose
        `warmup_steps` are below 1, a fraction, they are ⌈num_training_steps · warmup_steps⌉.
      num_training_steps: how many steps there are; the constant ones and "inverse_sqrt" do not read it, and all others need
        it, but for "warmup_stable_decay" with `num_stable_steps`.
      scheduler_specific_kwargs: more arguments of the schedule by name, the Trainer's `lr_scheduler_kwargs`; transformers
        ignores those given to the constant ones, here they are unexpected.

    Raises:
      TypeError: the schedule knows no such argument.
      ValueError: a name is unknown or of what is not a schedule, or a number that it needs is missing.
    """
    name = str(getattr(name, "value", name))
    if name in TRANSFORMATIONS:
        raise ValueError(
            f"get_scheduler: {name!r} reads the loss, so it is not a function of the step; chain your optimizer with "
            f"{TRANSFORMATIONS[name]}(...), and give update the loss as value=."
        )
    if name not in SCHEDULES:
        raise ValueError(f"get_scheduler: the name {name!r} is not that of a schedule; known are {', '.join(SCHEDULES)}.")
    given = {"num_warmup_steps": num_warmup_steps, "num_training_steps": num_training_steps}
    for argument in _required(name):
        if given[argument] is None:
            raise ValueError(f"get_scheduler: {name!r} needs {argument}.")
    return SCHEDULES[name](lr, **{argument: given[argument] for argument in _read(name)}, **(scheduler_specific_kwargs or {}))


def _read(name: str) -> list[str]:
    """Which of the numbers of steps a schedule reads."""
    if name == "constant":
        return []
    return (
        ["num_warmup_steps"] if name in ("constant_with_warmup", "inverse_sqrt") else ["num_warmup_steps", "num_training_steps"]
    )


def _required(name: str) -> list[str]:
    return ["num_warmup_steps"] if name == "warmup_stable_decay" else _read(name)
