"""Write torch_optimizers.npz: the parameters under torch 2.13.0's optimizers, in float64, by the label of each case.

    python tests/golden/torch_optimizers.py

torch's default dtype is float64 here: some optimizers keep scalars in it. Muon is recorded twice, as it is and with its
iterations in float64, whose rounding can be compared.
"""
# /// script
# dependencies = ["numpy", "torch==2.13.0"]
# ///

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import problem
import torch_descent
from torch_optimizers_cases import CASES, LR_HALVES

torch: Any = importlib.import_module("torch")


def recorded(case: problem.Case) -> np.ndarray:
    """The parameters after each kept step, a row a step."""
    options = dict(case.options)
    lr_halves = options.pop("lr_halves", False)
    start = {name: p for name, p in problem.start().items() if case.optimizer != "Muon" or p.ndim == 2}
    params = {name: torch.tensor(p) for name, p in start.items()}
    optimizer = getattr(torch.optim, case.optimizer)(list(params.values()), **options)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, **LR_HALVES) if lr_halves else None

    def step() -> None:
        optimizer.step()
        if scheduler:
            scheduler.step()

    return torch_descent.path(params, step, case.scale)


@contextlib.contextmanager
def muon_in_float64() -> Iterator[None]:
    with mock.patch.object(torch.Tensor, "bfloat16", lambda x: x.clone()):
        yield


def main() -> None:
    assert torch.__version__.startswith("2.13.0"), torch.__version__
    torch.set_default_dtype(torch.float64)
    arrays: dict[str, Any] = {str(case): recorded(case) for case in CASES}
    with muon_in_float64():
        arrays |= {f"{case}, in float64": recorded(case) for case in CASES if case.optimizer == "Muon"}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
