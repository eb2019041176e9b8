"""Compare the memory that a step takes beside parameters, state and gradients: `python tests/benchmarks/temporaries.py`.

Steps of what gradtx and Optax both have are compiled for the shapes of a GPT-2 of 124 M parameters, not run. The unit is the
size of the parameters. Arguments are names of rows; by default it is all of them, for a quarter of an hour.
"""

import sys
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from compare import LIBRARIES, gpt2_small, training_step
from rich.console import Console
from rich.progress import track
from rich.table import Table

# What needs more than a learning rate is not here, nor what reads a loss.
WITH_A_LEARNING_RATE = [
    "adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "adan", "amsgrad", "fromage", "lamb", "lars",
    "lion", "nadam", "nadamw", "novograd", "optimistic_gradient_descent", "radam", "rmsprop", "rprop", "sgd", "sign_sgd", "sm3",
    "yogi",
]  # fmt: skip
MADE = {name: lambda library, name=name: getattr(library, name)(1e-3) for name in WITH_A_LEARNING_RATE} | {
    "sgd with momentum": lambda library: library.sgd(1e-3, momentum=0.9),
    "clip_by_global_norm": lambda library: library.clip_by_global_norm(1.0),
    "clip_by_block_rms": lambda library: library.clip_by_block_rms(1.0),
    "adaptive_grad_clip": lambda library: library.adaptive_grad_clip(0.01),
    "L-BFGS, memory 4": lambda library: library.lbfgs(memory_size=4, linesearch=None),
    "L-BFGS, memory 10": lambda library: library.lbfgs(memory_size=10, linesearch=None),
}


def temporaries(library: ModuleType, tx: Any) -> float:
    params = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in gpt2_small()]
    step = jax.jit(training_step(library, tx), donate_argnums=(0, 1))
    analysis = step.lower(params, jax.eval_shape(tx.init, params), params).compile().memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes / sum(4 * p.size for p in params)


def main() -> None:
    table = Table("", *LIBRARIES, title="Temporaries in units of the parameters, GPT-2 124M")
    for name in track(sys.argv[1:] or list(MADE), transient=True):
        table.add_row(name, *(f"{temporaries(library, MADE[name](library)):.2f}" for library in LIBRARIES.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
