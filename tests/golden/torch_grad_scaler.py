# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "torch==2.13.0"]
# ///
"""Write torch_grad_scaler.npz: torch.amp.GradScaler of torch 2.13.0 on the CPU, its scales and parameters trained with it.

Run `python tests/golden/torch_grad_scaler.py` where torch is installed; the tests need the numbers alone.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from problem import SHAPES, flat, gradients, start
from torch_grad_scaler_cases import BAD_STEPS, OVERFLOWS, SCALES, STEPS, TRAINING, TRAINING_STEPS, label

torch: Any = importlib.import_module("torch")


def scales(pattern: str, arguments: dict[str, Any]) -> np.ndarray:
    """The scale and the growth tracker after each step, a row a step."""
    scaler = torch.amp.GradScaler("cpu", **arguments)
    p = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=0.0)
    rows = []
    for step in range(STEPS):
        optimizer.zero_grad()
        scaler.scale(0 * p.sum()).backward()
        if step in OVERFLOWS[pattern]:
            p.grad.fill_(torch.inf)
        scaler.step(optimizer)
        scaler.update()
        rows.append([scaler.get_scale(), scaler.state_dict()["_growth_tracker"]])
    return np.array(rows)


def trained(make_optimizer: Any, dtype: Any) -> np.ndarray:
    """The parameters after each step, a row a step."""
    scaler = torch.amp.GradScaler("cpu", **TRAINING)
    params = {name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in start().items()}
    optimizer = make_optimizer(params.values())
    rows = []
    for step, gradient in enumerate(gradients()[:TRAINING_STEPS]):
        optimizer.zero_grad()
        loss = sum((torch.tensor(gradient[name], dtype=dtype) * p).sum() for name, p in params.items())
        scaler.scale(loss).backward()
        if step in BAD_STEPS:
            params["kernel"].grad[0, 0] = BAD_STEPS[step]
        scaler.step(optimizer)
        scaler.update()
        rows.append(flat({name: params[name].detach().numpy() for name in SHAPES}))
    return np.stack(rows)


def main() -> None:
    assert torch.__version__.startswith("2.13.0")
    golden: dict[str, Any] = {label(pattern, arguments): scales(pattern, arguments) for pattern, arguments in SCALES}
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        golden[f"SGD, {name}"] = trained(lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9), dtype)
        golden[f"Adam, {name}"] = trained(lambda params: torch.optim.Adam(params, lr=0.1), dtype)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **golden)


if __name__ == "__main__":
    main()
