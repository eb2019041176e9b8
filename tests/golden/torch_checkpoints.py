"""Write torch_checkpoints.npz: what torch 2.13.0's optimizers have in their `state_dict()` in the middle of a run, and its end.

    python tests/golden/torch_checkpoints.py

In float64, which is also torch's default dtype here: NAdam keeps a scalar in it.
"""
# /// script
# dependencies = ["numpy", "torch==2.13.0"]
# ///

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from torch_checkpoints_cases import BEFORE, RUNS, gradients, start

torch: Any = importlib.import_module("torch")


def recorded(label: str) -> dict[str, np.ndarray]:
    """The groups as JSON, each entry of the state, the parameters then and at the end."""
    optimizer_name, groups, options = RUNS[label]
    params = {name: torch.tensor(p) for name, p in start().items()}
    param_groups = [
        {"params": [(name, params[name]) for name in names], **own} for names, own in zip(groups, options, strict=True)
    ]
    optimizer = getattr(torch.optim, optimizer_name)(param_groups)
    arrays = {}
    for step, gradient in enumerate(gradients()):
        if step == BEFORE:
            arrays |= {f"{label}/middle/{name}": p.numpy().copy() for name, p in params.items()}
            arrays |= {f"{label}/{key}": value for key, value in flattened(optimizer.state_dict()).items()}
        for name, p in params.items():
            p.grad = torch.tensor(gradient[name])
        optimizer.step()
    return arrays | {f"{label}/end/{name}": p.numpy() for name, p in params.items()}


def flattened(state_dict: dict[str, Any]) -> dict[str, np.ndarray]:
    entries = {
        f"state/{index}/{entry}": value.numpy().copy()
        for index, entries in state_dict["state"].items()
        for entry, value in entries.items()
        if value is not None
    }
    return {"param_groups": np.array(json.dumps(state_dict["param_groups"])), **entries}


def main() -> None:
    assert torch.__version__.startswith("2.13.0"), torch.__version__
    torch.set_default_dtype(torch.float64)
    arrays: dict[str, Any] = {}
    for label in RUNS:
        arrays |= recorded(label)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
