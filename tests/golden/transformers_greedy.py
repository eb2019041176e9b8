"""Write transformers_greedy.npz: the learning rate that transformers 5.23.0's GreedyLR leaves to each step, by the call.

python tests/golden/transformers_greedy.py
"""
# /// script
# dependencies = ["numpy", "torch==2.13.0", "transformers==5.23.0"]
# ///

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from transformers_greedy_cases import CASES, label, values

torch: Any = importlib.import_module("torch")
transformers: Any = importlib.import_module("transformers")
optimization: Any = importlib.import_module("transformers.optimization")


def rates(lr: float, **options: Any) -> np.ndarray:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    scheduler = optimization.get_greedy_schedule(optimizer, **options)
    result = []
    for value in values():
        result.append(optimizer.param_groups[0]["lr"])
        scheduler.step(value)
    return np.array(result)


def main() -> None:
    assert transformers.__version__ == "5.23.0", transformers.__version__
    arrays: dict[str, Any] = {label(options): rates(**options) for options in CASES}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
