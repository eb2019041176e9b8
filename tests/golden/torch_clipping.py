"""Write torch_clipping.npz: what torch 2.13.0's clip_grad_norm_ and clip_grad_value_ leave of gradients, by the call.

python tests/golden/torch_clipping.py
"""
# /// script
# dependencies = ["numpy", "torch==2.13.0"]
# ///

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from torch_clipping_cases import CASES, gradients, label

torch: Any = importlib.import_module("torch")


def clipped(name: str, arguments: dict[str, Any], grads: dict[str, np.ndarray]) -> np.ndarray:
    """The entries of all gradients in a row."""
    params = []
    for g in grads.values():
        params.append(torch.zeros(g.shape, dtype=torch.float64))
        params[-1].grad = torch.tensor(g)
    getattr(torch.nn.utils, f"{name}_")(params, **arguments)
    return np.concatenate([p.grad.numpy().ravel() for p in params])


def main() -> None:
    assert torch.__version__.startswith("2.13.0"), torch.__version__
    arrays: dict[str, Any] = {
        label(name, arguments, of): clipped(name, arguments, grads)
        for name, arguments in CASES
        for of, grads in gradients().items()
    }
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
