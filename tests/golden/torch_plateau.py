"""Write torch_plateau.npz: the learning rate that torch 2.13.0's ReduceLROnPlateau leaves to each step, by call and series.

python tests/golden/torch_plateau.py
"""
# /// script
# dependencies = ["numpy", "torch==2.13.0"]
# ///

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from torch_plateau_cases import CASES, LR, label, series

torch: Any = importlib.import_module("torch")


def rates(values: np.ndarray, **options: Any) -> np.ndarray:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    result = []
    for value in values:
        result.append(optimizer.param_groups[0]["lr"])
        scheduler.step(value)
    return np.array(result)


def main() -> None:
    assert torch.__version__.startswith("2.13.0"), torch.__version__
    arrays: dict[str, Any] = {
        label(options, name): rates(values, **options) for options in CASES for name, values in series().items()
    }
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
