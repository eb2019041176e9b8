"""Write torch_averages.npz: the averages of parameters by torch 2.13.0's AveragedModel, in float64, by the label of each case.

python tests/golden/torch_averages.py
"""
# /// script
# dependencies = ["numpy", "torch==2.13.0"]
# ///

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import problem
from torch_averages_cases import CASES, SGD, Case

torch: Any = importlib.import_module("torch")
swa_utils: Any = importlib.import_module("torch.optim.swa_utils")


def recorded(case: Case) -> np.ndarray:
    """The average after each kept step from `begin` on, a row a step."""
    model = torch.nn.ParameterDict({name: torch.nn.Parameter(torch.tensor(p)) for name, p in problem.start().items()})
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    average = swa_utils.AveragedModel(
        model, multi_avg_fn=None if case.decay is None else swa_utils.get_ema_multi_avg_fn(case.decay)
    )
    rows = []
    for step, gradients in enumerate(problem.gradients(), 1):
        for name, p in model.items():
            p.grad = torch.tensor(gradients[name])
        optimizer.step()
        if step >= case.begin and (step - case.begin) % case.every == 0:
            average.update_parameters(model)
        if step in problem.KEPT and step >= case.begin:
            rows.append(problem.flat({name: p.detach().numpy() for name, p in average.module.items()}))
    return np.array(rows)


def main() -> None:
    assert torch.__version__.startswith("2.13.0"), torch.__version__
    arrays: dict[str, Any] = {str(case): recorded(case) for case in CASES}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
