"""Write transformers_adafactor.npz: the parameters under transformers 5.23.0's Adafactor, in float64, by the call.

python tests/golden/transformers_adafactor.py
"""
# /// script
# dependencies = ["numpy", "torch==2.13.0", "transformers==5.23.0"]
# ///

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import problem
import torch_descent
from transformers_adafactor_cases import CASES, LR_HALVES

torch: Any = importlib.import_module("torch")
transformers: Any = importlib.import_module("transformers")


def recorded(case: problem.Case) -> np.ndarray:
    """The parameters after each kept step, a row a step."""
    options = dict(case.options)
    lr_halves = options.pop("lr_halves", False)
    params = {name: torch.tensor(p) for name, p in problem.start().items()}
    optimizer = transformers.Adafactor(list(params.values()), **options)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, **LR_HALVES) if lr_halves else None

    def step() -> None:
        optimizer.step()
        if scheduler:
            scheduler.step()

    return torch_descent.path(params, step, case.scale)


def main() -> None:
    assert transformers.__version__ == "5.23.0", transformers.__version__
    torch.set_default_dtype(torch.float64)
    arrays: dict[str, Any] = {str(case): recorded(case) for case in CASES}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
