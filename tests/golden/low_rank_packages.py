"""Write low_rank_packages.npz: the parameters after each step, in float64, and the random matrices that were drawn.

    python tests/golden/low_rank_packages.py

The packages may be installed with `--no-deps`. What they compute in float32 whatever the dtype, singular vectors and random
numbers, is in float64 here. Of transformers, which they import, they need a check of versions alone.
"""
# /// script
# dependencies = ["apollo-torch==1.0.3", "fira==1.0.2", "numpy", "torch==2.13.0"]
# ///

import importlib
import importlib.metadata
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
from low_rank_packages_cases import CASES, PACKAGES, SHAPES, STEPS, Case, gradients, start

torch: Any = importlib.import_module("torch")


def without_transformers() -> None:
    """Let `from transformers.utils.versions import require_version` succeed, and require nothing."""
    for name in ("transformers", "transformers.utils", "transformers.utils.versions"):
        sys.modules[name] = types.ModuleType(name)
    vars(sys.modules["transformers.utils.versions"])["require_version"] = lambda requirement: None


def apollo_alone() -> None:
    """Let `apollo_torch` be its optimizer alone: the others of the package need bitsandbytes."""
    root = importlib.metadata.distribution("apollo-torch").locate_file("apollo_torch")
    package: Any = types.ModuleType("apollo_torch")
    package.__path__ = [str(root)]
    sys.modules["apollo_torch"] = package
    package.APOLLOAdamW = importlib.import_module("apollo_torch.apollo").AdamW


def recorded(case: Case) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The parameters after each step, and the directions of each matrix in their turns."""
    params = {name: torch.tensor(array, requires_grad=True) for name, array in start().items()}
    module, _, name = case.optimizer.rpartition(".")
    vectors, matrices = ([p for p in params.values() if p.ndim == ndim] for ndim in (1, 2))
    groups = [{"params": vectors}, {"params": matrices, **case.of_matrices}]
    optimizer = getattr(importlib.import_module(module), name)(groups, no_deprecation_warning=True, **case.options)
    path: dict[str, list[np.ndarray]] = {name: [] for name in params}
    directions: dict[str, list[np.ndarray]] = {name: [] for name, shape in SHAPES.items() if len(shape) == 2}
    for step, of_step in enumerate(gradients()):
        for name, p in params.items():
            p.grad = torch.tensor(of_step[name])
        optimizer.step()
        for name, p in params.items():
            path[name].append(p.detach().numpy().copy())
        for name, turns in directions.items():
            if step % case.of_matrices["update_proj_gap"] == 0:
                turns.append(optimizer.state[params[name]]["projector"].ortho_matrix.numpy().copy())
    assert all(len(steps) == STEPS for steps in path.values())
    return {name: np.stack(steps) for name, steps in path.items()}, {k: np.stack(v) for k, v in directions.items()}


def main() -> None:
    for package, version in PACKAGES.items():
        assert importlib.metadata.version(package) == version, package
    without_transformers()
    apollo_alone()
    torch.Tensor.float = lambda tensor: tensor
    arrays: dict[str, Any] = {}
    for label, case in CASES.items():
        path, directions = recorded(case)
        arrays |= {f"{label}/{name}": steps for name, steps in path.items()}
        if case.of_matrices.get("proj") == "random":
            arrays |= {f"{label}.directions/{name}": turns for name, turns in directions.items()}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
