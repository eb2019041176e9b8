"""Write low_bit_checkpoints.npz: the `state_dict()` of 8- and 4-bit optimizers in the middle of a run, and the end of the run.

    python tests/golden/low_bit_checkpoints.py

See low_bit_optimizers.py: bitsandbytes 0.50.2 rounds to the nearest here, and torchao 0.18.0 runs without `torch.compile`.
"""
# /// script
# dependencies = ["bitsandbytes==0.50.2", "numpy", "torch==2.13.0", "torchao==0.18.0"]
# ///

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from low_bit_checkpoints_cases import AFTER, BEFORE, RUNS, names_of
from low_bit_optimizers import adam, bitsandbytes, cpu, nearest
from low_bit_optimizers_cases import gradients, start

torch: Any = importlib.import_module("torch")


def recorded(label: str) -> dict[str, np.ndarray]:
    """The groups as JSON, each entry of the state, the parameters then and at the end."""
    params = {name: torch.nn.Parameter(torch.tensor(start()[name])) for name in names_of(label)}
    library, optimizer_name = label.split()
    make = {"bitsandbytes": bitsandbytes_run, "torchao": torchao_run}[library]
    optimizer, step = make(optimizer_name, params, RUNS[label])
    arrays = {}
    for count, grads in enumerate(gradients()[: BEFORE + AFTER]):
        if count == BEFORE:
            arrays |= {f"{label}/middle/{name}": p.detach().numpy().copy() for name, p in params.items()}
            arrays |= {f"{label}/{key}": value for key, value in flattened(optimizer.state_dict()).items()}
        for name, p in params.items():
            p.grad = torch.tensor(grads[name])
        step()
    return arrays | {f"{label}/end/{name}": p.detach().numpy() for name, p in params.items()}


def bitsandbytes_run(name: str, params: dict[str, Any], options: dict[str, Any]) -> tuple[Any, Callable[[], None]]:
    optimizer = getattr(bitsandbytes.optim, name)(list(params.values()), **options)
    return optimizer, optimizer.step


def torchao_run(name: str, params: dict[str, Any], options: dict[str, Any]) -> tuple[Any, Callable[[], None]]:
    """The optimizer, and its step without `torch.compile`."""
    optimizer = getattr(adam, name)(list(params.values()), **options)

    def step() -> None:
        b1, b2 = options["betas"]
        for p in params.values():
            state = optimizer.state[p]
            if not state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"] = optimizer._new_buffer(p, True)
                state["exp_avg_sq"] = optimizer._new_buffer(p, False)
            state["step"] += 1
            adam.single_param_adam(
                p.detach(), p.grad, state["step"], state["exp_avg"], state["exp_avg_sq"], None,
                torch.tensor(options["lr"]), b1, b2, options["weight_decay"], options["eps"], True, False,
            )  # fmt: skip

    return optimizer, step


def flattened(state_dict: dict[str, Any]) -> dict[str, np.ndarray]:
    """Dicts and torchao's tensors by the paths of what is in them."""
    arrays = {"param_groups": np.array(json.dumps(state_dict["param_groups"], default=lambda tensor: tensor.item()))}
    for index, entries in state_dict["state"].items():
        for entry, value in entries.items():
            if isinstance(value, dict):
                parts = {f"{entry}/{key}": tensor for key, tensor in value.items()}
            elif hasattr(value, "codes"):
                known = ("codes", "scale", "qmap", "signed", "block_size", "shape")
                parts = {f"{entry}/{key}": getattr(value, key) for key in known if hasattr(value, key)}
            else:
                parts = {entry: value}
            arrays |= {f"state/{index}/{key}": as_numpy(part) for key, part in parts.items()}
    return arrays


def as_numpy(value: Any) -> np.ndarray:
    return value.numpy().copy() if hasattr(value, "numpy") else np.array(value)


def main() -> None:
    cpu._quant_blockwise_fp32_direct = nearest
    arrays: dict[str, Any] = {}
    for label in RUNS:
        arrays |= recorded(label)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
