"""Write torch_schedulers.npz: the learning rates of torch 2.13.0's schedulers at the recorded steps, by the call.

    python tests/golden/torch_schedulers.py

Each is that of the optimizer when its step begins, with `scheduler.step()` after every `optimizer.step()`. What cycles the
momentum is recorded with it, under the call and ", momentum". A OneCycleLR is recorded as far as torch lets it go.
"""
# /// script
# dependencies = ["numpy", "torch==2.13.0"]
# ///

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from torch_schedulers_cases import CASES, LR, STEPS, Case

torch: Any = importlib.import_module("torch")


def made(case: Case, optimizer: Any) -> Any:
    """The scheduler; members are made in the order in which they are listed."""
    factory = getattr(torch.optim.lr_scheduler, case.name)
    members = {"schedulers": [made(each, optimizer) for each in case.arguments.get("schedulers", [])]}
    arguments = {**case.arguments, **(members if members["schedulers"] else {})}
    return factory(**arguments) if case.name == "ChainedScheduler" else factory(optimizer, **arguments)


def recorded(case: Case) -> dict[str, np.ndarray]:
    """Learning rates, and momenta if they are cycled."""
    param = torch.zeros(1, requires_grad=True)
    param.grad = torch.zeros(1)
    optimizer = torch.optim.SGD([param], lr=LR, momentum=0.5)
    scheduler = made(case, optimizer)
    rates, momenta = [], []
    for _ in range(int(STEPS[-1]) + 1):
        (group,) = optimizer.param_groups
        rates.append(float(group["lr"]))
        momenta.append(float(group["momentum"]))
        optimizer.step()
        try:
            scheduler.step()
        except ValueError:
            break
    kept = STEPS[len(rates) > STEPS]
    arrays = {str(case): np.array(rates)[kept]}
    return arrays | ({f"{case}, momentum": np.array(momenta)[kept]} if case.name in ("CyclicLR", "OneCycleLR") else {})


def main() -> None:
    assert torch.__version__.startswith("2.13.0"), torch.__version__
    arrays: dict[str, Any] = {}
    for case in CASES:
        arrays |= recorded(case)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
