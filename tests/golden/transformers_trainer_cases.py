"""The runs of the Trainer's AdamW that are recorded: its options, its schedule and how it is warmed up, scale of gradients."""

from typing import Any, NamedTuple


class Case(NamedTuple):
    """A run, printed as the call that it is of."""

    options: dict[str, Any]
    schedule: str = "linear"
    warmup_steps: int = 10
    scale: float = 1.0

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"AdamW({arguments}), {self.schedule} after {self.warmup_steps} steps, gradients times {self.scale:g}"


ADAMW = [
    Case({"learning_rate": 0.01, "weight_decay": 0.1}),
    Case({"learning_rate": 0.01, "weight_decay": 0.1}, scale=1e-4),
    Case({}, warmup_steps=0),
    Case(
        {"learning_rate": 0.05, "adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-3, "weight_decay": 0.3}, "cosine", 30
    ),
    Case({"learning_rate": 0.01, "weight_decay": 0.1, "max_grad_norm": 0.0}, "constant", 0),
    Case({"learning_rate": 0.01, "weight_decay": 0.1, "adam_epsilon": 0.1, "max_grad_norm": 2.0}, "constant", 0),
]


def schedule_of(case: Case) -> dict[str, Any]:
    """Return the arguments of the Trainer for the schedule."""
    return {"lr_scheduler_type": case.schedule, "warmup_steps": case.warmup_steps}
