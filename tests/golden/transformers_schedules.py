"""Write transformers_schedules.npz: the learning rates of transformers 5.23.0 at the recorded steps, by the call.

python tests/golden/transformers_schedules.py
"""
# /// script
# dependencies = ["numpy", "torch==2.13.0", "transformers==5.23.0"]
# ///

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from transformers_schedules_cases import CASES, LR, NAMED, STEPS, label

torch: Any = importlib.import_module("torch")
transformers: Any = importlib.import_module("transformers")
optimization: Any = importlib.import_module("transformers.optimization")


def rates(scheduler: Any) -> np.ndarray:
    """What LambdaLR multiplies, without the steps in between."""
    (base,), (factor,) = scheduler.base_lrs, scheduler.lr_lambdas
    return np.array([base * factor(int(step)) for step in STEPS])


def sgd() -> Any:
    return torch.optim.SGD([torch.zeros(1)], lr=LR)


def main() -> None:
    assert transformers.__version__ == "5.23.0", transformers.__version__
    schedulers = {label(name, arguments): getattr(optimization, name)(sgd(), **arguments) for name, arguments in CASES}
    schedulers |= {label(name, arguments): optimization.get_scheduler(name, sgd(), **arguments) for name, arguments in NAMED}
    arrays: dict[str, Any] = {call: rates(scheduler) for call, scheduler in schedulers.items()}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
