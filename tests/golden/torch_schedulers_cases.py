"""The schedulers of torch that are recorded, as calls, and the steps of which they are asked."""

from typing import Any, NamedTuple

import numpy as np

LR = 0.3
STEPS = np.concatenate([np.arange(130), [499, 500, 501, 1000, 1999]])
"""Around warm-ups, milestones and ends, and beyond them."""


class Case(NamedTuple):
    """A class of torch.optim.lr_scheduler with its arguments; the members of a composition are cases."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={_text(value)}' for key, value in self.arguments.items())})"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_text(each) for each in value)}]"
    return getattr(value, "__name__", None) or (str(value) if isinstance(value, Case) else repr(value))


def call(name: str, **arguments: Any) -> Case:
    return Case(name, arguments)


# Functions of Python's numbers and of arrays alike.
def inverse(step: Any) -> Any:
    return 1 / (1 + 0.1 * step)


def jagged(step: Any) -> Any:
    return 1 - 0.02 * (step % 3)


def shrinking(cycle: Any) -> Any:
    return 1 / (1 + cycle)


_LINEAR = call("LinearLR", start_factor=0.1, total_iters=20)
_CONSTANT = call("ConstantLR", factor=0.5, total_iters=7)
_EXPONENTIAL = call("ExponentialLR", gamma=0.97)
_STEP = call("StepLR", step_size=9, gamma=0.8)
_MULTI_STEP = call("MultiStepLR", milestones=[0, 3, 30, 30], gamma=0.7)
_POLYNOMIAL = call("PolynomialLR", total_iters=60, power=2.0)
_COSINE = call("CosineAnnealingLR", T_max=40)
_COSINE_ABOVE = call("CosineAnnealingLR", T_max=25, eta_min=0.02)
_LAMBDA = call("LambdaLR", lr_lambda=inverse)
_MULTIPLICATIVE = call("MultiplicativeLR", lr_lambda=jagged)
_RESTARTS = call("CosineAnnealingWarmRestarts", T_0=10, T_mult=2, eta_min=0.01)
_CYCLIC = call("CyclicLR", base_lr=0.3, max_lr=0.9, step_size_up=10)

SINGLE = [
    call("LambdaLR", lr_lambda=inverse),
    call("MultiplicativeLR", lr_lambda=jagged),
    *(call("StepLR", step_size=n, **more) for n, more in [(1, {"gamma": 0.99}), (7, {}), (30, {"gamma": 1.5})]),
    call("MultiStepLR", milestones=[30, 80]),
    call("MultiStepLR", milestones=[0, 5, 5, 40], gamma=0.5),
    call("MultiStepLR", milestones=[10.0, 20.5, 60, 15], gamma=0.3),
    call("MultiStepLR", milestones=[]),
    call("ConstantLR"),
    *(call("ConstantLR", factor=f, total_iters=n) for f, n in [(0.25, 20), (0.5, 0), (0.5, 10.5), (1.0, 3), (0.9, 5000)]),
    call("LinearLR"),
    call("LinearLR", start_factor=0.1, total_iters=100),
    call("LinearLR", start_factor=1.0, end_factor=0.0, total_iters=60),
    call("LinearLR", start_factor=1.0, end_factor=0.1, total_iters=10.5),
    call("LinearLR", start_factor=0.5, total_iters=0),
    call("LinearLR", start_factor=1e-3, total_iters=1),
    *(call("ExponentialLR", gamma=gamma) for gamma in (0.9, 0.999, 1.0, 1.01)),
    call("PolynomialLR"),
    *(call("PolynomialLR", total_iters=n, power=p) for n, p in [(100, 1.0), (100, 2.0), (61, 0.5), (0, 1.0), (10.5, 3.0)]),
    *(call("CosineAnnealingLR", T_max=n) for n in (1, 2, 10, 33, 120, 5000)),
    *(call("CosineAnnealingLR", T_max=n, eta_min=eta) for n, eta in [(10, 0.03), (50, 0.001), (7, 0.5)]),
    call("CosineAnnealingWarmRestarts", T_0=10),
    *(
        call("CosineAnnealingWarmRestarts", T_0=n, T_mult=m, eta_min=eta)
        for n, m, eta in [(7, 2, 0.0), (1, 3, 0.1), (1, 1, 0.0)]
    ),
    call("CyclicLR", base_lr=0.01, max_lr=0.5),
    call("CyclicLR", base_lr=0.01, max_lr=0.5, step_size_up=10),
    call("CyclicLR", base_lr=0.1, max_lr=0.5, step_size_up=10, step_size_down=23, mode="triangular2"),
    call("CyclicLR", base_lr=0.1, max_lr=0.5, step_size_up=7, step_size_down=0, mode="exp_range", gamma=0.99),
    call("CyclicLR", base_lr=0.1, max_lr=0.5, step_size_up=2.5, step_size_down=4, base_momentum=0.1, max_momentum=0.5),
    call("CyclicLR", base_lr=0.1, max_lr=0.5, step_size_up=20, scale_fn=shrinking),
    call("CyclicLR", base_lr=0.1, max_lr=0.5, step_size_up=20, mode="triangular2", scale_fn=inverse, scale_mode="iterations"),
    call("OneCycleLR", max_lr=1.0, total_steps=100),
    call("OneCycleLR", max_lr=1.0, epochs=5, steps_per_epoch=17, anneal_strategy="linear"),
    call("OneCycleLR", max_lr=1.0, total_steps=101, three_phase=True),
    call("OneCycleLR", max_lr=1.0, total_steps=90, pct_start=0.2, three_phase=True, anneal_strategy="linear"),
    call("OneCycleLR", max_lr=1.0, total_steps=60, pct_start=0.0, base_momentum=0.1, max_momentum=0.5),
    call("OneCycleLR", max_lr=1.0, total_steps=60, pct_start=0.7, three_phase=True, div_factor=3.0, final_div_factor=10.0),
    call("OneCycleLR", max_lr=1.0, total_steps=1),
    call("OneCycleLR", max_lr=0.3, total_steps=2000),
]


def chained(*schedulers: Case) -> Case:
    return call("ChainedScheduler", schedulers=list(schedulers))


def sequential(milestones: list[int], *schedulers: Case) -> Case:
    return call("SequentialLR", schedulers=list(schedulers), milestones=milestones)


_AFTER_ONE_CYCLE = 1.0 / 25

CHAINED = [
    chained(_EXPONENTIAL),
    chained(_CONSTANT, _EXPONENTIAL),
    chained(_LINEAR, _STEP, _MULTI_STEP, _POLYNOMIAL),
    chained(_MULTIPLICATIVE, _EXPONENTIAL),
    chained(_LINEAR, _COSINE),
    chained(_COSINE, _LINEAR, _EXPONENTIAL),
    chained(_EXPONENTIAL, call("CosineAnnealingLR", T_max=1)),
    chained(_LINEAR, _COSINE_ABOVE),
    chained(_COSINE_ABOVE, _CONSTANT, _MULTI_STEP),
    chained(_COSINE_ABOVE, _EXPONENTIAL),
    chained(_COSINE, call("CosineAnnealingLR", T_max=39)),
    chained(_COSINE, _COSINE),
    chained(_COSINE_ABOVE, _MULTIPLICATIVE),
    chained(_CONSTANT, _LAMBDA),
    chained(_LAMBDA, _EXPONENTIAL),
    chained(_LINEAR, _LAMBDA, _STEP, _COSINE_ABOVE),
    chained(_RESTARTS, _LINEAR),
    chained(_CYCLIC, _EXPONENTIAL),
    chained(chained(_LINEAR, _EXPONENTIAL), _STEP),
    chained(_EXPONENTIAL, sequential([20], _LINEAR, _COSINE)),
    chained(sequential([20], _LAMBDA, _RESTARTS), _CONSTANT),
    chained(_CONSTANT, sequential([20], _LINEAR, _COSINE_ABOVE)),
]
SEQUENTIAL = [
    sequential([20], _LINEAR, _COSINE),
    sequential([20], _LINEAR, _COSINE_ABOVE),
    sequential([0], _LINEAR, _COSINE),
    sequential([10, 10], _LINEAR, _STEP, _EXPONENTIAL),
    sequential([], _LINEAR),
    sequential([5], _CONSTANT, _EXPONENTIAL),
    sequential([10, 50], _EXPONENTIAL, _MULTIPLICATIVE, _STEP),
    sequential([5], _MULTIPLICATIVE, _MULTIPLICATIVE),
    sequential([3, 40, 90], _STEP, _MULTI_STEP, _POLYNOMIAL, _LINEAR),
    sequential([12, 30], _LAMBDA, _RESTARTS, _LAMBDA),
    sequential([12, 30], _RESTARTS, call("ConstantLR", factor=0.5, total_iters=0), _CONSTANT),
    sequential([30, 60], _COSINE_ABOVE, _COSINE_ABOVE, _COSINE),
    sequential([30], _COSINE, _MULTIPLICATIVE),
    sequential([15], _CYCLIC, _EXPONENTIAL),
    sequential([15], _EXPONENTIAL, call("CyclicLR", base_lr=0.1, max_lr=0.9, step_size_up=10)),
    sequential([15], _LINEAR, call("OneCycleLR", max_lr=1.0, total_steps=1999)),
]
CASES = [*SINGLE, *CHAINED, *SEQUENTIAL]
