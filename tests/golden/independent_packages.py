"""Write independent_packages.npz: the parameters under optimizers of other packages, in float64, by the name of each run.

    TORCHDYNAMO_DISABLE=1 python tests/golden/independent_packages.py

The packages may be installed with `--no-deps`: of timm the optimizers alone are imported, and adabelief-pytorch needs tabulate
and colorama, torch-optimi needs packaging. torch's default dtype is float64 here: many keep scalars in it. The iterations of
Muon, which timm does in bfloat16, are in float64.
"""
# /// script
# dependencies = [
#     "adabelief-pytorch==0.2.1",
#     "adam-mini==1.1.1",
#     "came-pytorch==0.1.3",
#     "dadaptation==3.2",
#     "dog-optimizer==1.0.3",
#     "dowgopt==0.13",
#     "lion-pytorch==0.2.5",
#     "madgrad==1.3",
#     "momo-opt==0.1.0",
#     "numpy",
#     "parameterfree==0.0.1",
#     "prodigyopt==1.1.2",
#     "schedulefree==1.4.1",
#     "timm==1.0.31",
#     "torch==2.13.0",
#     "torch-optimi==0.3.3",
# ]
# ///

import functools
import importlib
import importlib.metadata
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import problem
import torch_descent
from independent_packages_cases import CASES, LR_HALVES, PACKAGES, PARAMS, losses

torch: Any = importlib.import_module("torch")


def optimizers_of_timm_alone() -> None:
    """Let `timm.optim` be a package of files: timm itself, and the factory that imports all of it, need torchvision."""
    timm: Any = importlib.util.find_spec("timm")
    root = Path(timm.submodule_search_locations[0])
    for name, folder in (("timm", root), ("timm.optim", root / "optim")):
        package = sys.modules[name] = types.ModuleType(name)
        package.__path__ = [str(folder)]


def muon_in_float64() -> None:
    """Let timm's Muon take matrices of any size, and iterate in float64."""
    muon: Any = importlib.import_module("timm.optim.muon")
    muon.zeropower_via_newtonschulz = functools.partial(muon.zeropower_via_newtonschulz, dtype=torch.float64)
    muon._is_suitable_for_muon = lambda p, return_reason=False: (True, "ok") if return_reason else True


def recorded(case: problem.Case) -> np.ndarray:
    """The parameters after each kept step, a row a step."""
    options = dict(case.options)
    lr_halves, penalty, names = options.pop("lr_halves", False), options.pop("penalty", 0.0), options.pop("names", None)
    module, _, name = case.optimizer.rpartition(".")
    params = {
        name: torch.tensor(problem.start()[name], requires_grad=True) for name in PARAMS.get(case.optimizer, problem.SHAPES)
    }
    given = list(params.values()) if names is None else [(names.get(name, name), p) for name, p in params.items()]
    optimizer = getattr(importlib.import_module(module), name)(given, **options)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, **LR_HALVES) if lr_halves else None
    if module == "schedulefree":
        optimizer.train()
    values = iter(losses())

    def step() -> None:
        for p in params.values():
            p.grad.add_(p.detach(), alpha=penalty)
        optimizer.step(**({"loss": torch.tensor(next(values))} if module == "momo" else {}))
        if scheduler:
            scheduler.step()

    return torch_descent.path(params, step, case.scale)


def main() -> None:
    for package, version in PACKAGES.items():
        assert importlib.metadata.version(package) == version, package
    torch.set_default_dtype(torch.float64)
    optimizers_of_timm_alone()
    muon_in_float64()
    arrays: dict[str, Any] = {name: recorded(case) for name, case in CASES.items()}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
