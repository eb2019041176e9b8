"""How torch descends on the problem, whatever makes the steps."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import problem

torch: Any = importlib.import_module("torch")


def path(params: Mapping[str, Any], step: Callable[[], None], scale: float) -> np.ndarray:
    """Return the parameters after each kept step, a row a step.

    Args:
      params: tensors by their names in the problem.
      step: moves them by their gradients.
      scale: of the gradients.
    """
    rows = []
    for count, gradients in enumerate(problem.gradients(scale), 1):
        for name, p in params.items():
            p.grad = torch.tensor(gradients[name])
        step()
        if count in problem.KEPT:
            rows.append(np.concatenate([p.detach().numpy().ravel() for p in params.values()]))
    return np.array(rows)
