"""What eigenvectors and roots cost that are made every ten steps: `python tests/benchmarks/decompositions.py`.

SOAP and Shampoo on matrices of one size, beside the same optimizer when it makes none. Of each step the shortest time of a few
runs counts. OpenBLAS has one thread: decompositions that run at once, each with all threads, wait for each other far longer
than they compute.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when it is loaded

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

import gradtx

MATRICES, SIZE, EVERY, STEPS, RUNS = 12, 256, 10, 40, 5
NEVER = 10**6


class Run(NamedTuple):
    """Seconds of each step after the first decompositions, and bytes."""

    steps: list[float]
    state: int
    temporary: int


def soap(every: int, stagger: bool) -> Any:
    return gradtx.soap(1e-3, every=every, stagger=stagger)


def shampoo(every: int, stagger: bool) -> Any:
    grafting = gradtx.scale_by_adam(0.9, 0.95)
    return gradtx.distributed_shampoo(1e-3, b2=0.95, grafting=grafting, every=every, start=1, stagger=stagger)


OPTIMIZERS: dict[str, Callable[[int, bool], Any]] = {"soap": soap, "distributed_shampoo": shampoo}


def measured(tx: Any) -> Run:
    """Run an optimizer on gradients of noise."""
    keys = jax.random.split(jax.random.key(0), MATRICES)
    params = {f"layer {k}": jax.random.normal(key, (SIZE, SIZE)) for k, key in enumerate(keys)}
    first = tx.init(params)
    step = jax.jit(tx.update, donate_argnums=1).lower(params, first, params).compile()
    gradients = jax.jit(lambda k: jax.tree.map(lambda p: p * jnp.cos(k * p), params))

    def seconds(state: Any) -> list[float]:
        taken = []
        for k in range(EVERY + STEPS):
            g = jax.block_until_ready(gradients(float(k + 1)))
            begin = time.perf_counter()
            _, state = jax.block_until_ready(step(g, state, params))
            taken.append(time.perf_counter() - begin)
        return taken[EVERY:]

    size = sum(leaf.nbytes for leaf in jax.tree.leaves(first))
    analysis: Any = step.memory_analysis()
    runs = [seconds(tx.init(params)) for _ in range(RUNS)]
    return Run(list(map(min, zip(*runs, strict=True))), size, analysis.temp_size_in_bytes)


def table() -> Table:
    result = Table(title=f"{MATRICES} matrices of {SIZE} by {SIZE}, decompositions every {EVERY} steps")
    columns = ["optimizer", "step without, ms", "median step", "mean step", "longest step", "state, MB", "temporary, MB"]
    for column in columns:
        result.add_column(column, justify="left" if column == "optimizer" else "right")
    for name, make in OPTIMIZERS.items():
        without = statistics.median(measured(make(NEVER, False)).steps)
        for stagger in (False, True):
            run = measured(make(EVERY, stagger))
            times = [f"{pick(run.steps) / without:.2f}" for pick in (statistics.median, statistics.fmean, max)]
            megabytes = [f"{size / 1e6:.1f}" for size in (run.state, run.temporary)]
            title = f"{name}, in turns" if stagger else name
            result.add_row(title, f"{1e3 * without:.1f}", *times, *megabytes)
    return result


if __name__ == "__main__":
    Console(width=120).print(table())
