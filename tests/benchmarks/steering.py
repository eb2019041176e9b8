"""Compare what steers a run with Optax's: `python tests/benchmarks/steering.py`.

On the leaves of a GPT-2 of 124 M parameters, by turns as in `compare.py`:

  - hyperparameters in the state: `inject_hyperparams(adamw)` of Optax, `adjustable(adamw)` of gradtx;
  - two groups of parameters, matrices with weight decay and vectors without: `multi_transform`, and `grouped`.
"""

from types import ModuleType
from typing import Any

import jax
from compare import CASES, compete, table
from rich.console import Console

import gradtx


def with_hyperparams_in_the_state(library: ModuleType) -> Any:
    return gradtx.adjustable(gradtx.adamw(1e-3)) if library is gradtx else library.inject_hyperparams(library.adamw)(1e-3)


def in_two_groups(library: ModuleType) -> Any:
    decaying, plain = library.adamw(1e-3, weight_decay=0.1), library.adamw(1e-3, weight_decay=0.0)
    if library is gradtx:
        matrices = gradtx.Group(lambda path, leaf: leaf.ndim == 2, name="matrices")
        return gradtx.grouped(decaying, [matrices, gradtx.Group("**", weight_decay=0.0)])
    return library.multi_transform({2: decaying, 1: plain}, lambda params: jax.tree.map(lambda p: p.ndim, params))


CONTESTS = {"hyperparameters in the state": with_hyperparams_in_the_state, "two groups": in_two_groups}

if __name__ == "__main__":
    for title, make in CONTESTS.items():
        Console().print(table(f"{title}, {CASES['b'].title}", compete(CASES["b"], make)))
