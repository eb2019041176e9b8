"""Write torch_step_decay.json: the learning rates of torch 2.13.0's StepLR and MultiStepLR over 20 steps.

Run `python tests/golden/torch_step_decay.py` where torch is installed; the tests need the numbers alone.
"""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

torch: Any = importlib.import_module("torch")


def rates(make_scheduler: Callable[[Any], Any]) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    scheduler = make_scheduler(optimizer)
    result = []
    for _ in range(20):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return result


def main() -> None:
    schedulers = torch.optim.lr_scheduler
    golden = {
        "StepLR(0.5, step_size=4, gamma=0.3)": rates(lambda sgd: schedulers.StepLR(sgd, 4, 0.3)),
        "MultiStepLR(0.5, milestones=[3, 7, 7, 12], gamma=0.3)": rates(
            lambda sgd: schedulers.MultiStepLR(sgd, [3, 7, 7, 12], 0.3)
        ),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
