"""What eigenvectors and roots cost that are made every ten steps: `python tests/benchmarks/decompositions.py`.

SOAP and Shampoo on matrices of one size, beside the same optimizer when it makes none. Of each step the shortest time of a few
runs counts. OpenBLAS has one thread: decompositions that run at once, each with all threads, wait for each other far longer
than they compute.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when it is loaded

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

import gradtx

MATRICES, SIZE, EVERY, STEPS, RUNS = 12, 256, 10, 40, 5
NEVER = 10**6


def soap(every: int, stagger: bool) -> Any:
    return gradtx.soap(1e-3, every=every, stagger=stagger)


def shampoo(every: int, stagger: bool) -> Any:
    grafting = gradtx.scale_by_adam(0.9, 0.95)
    return gradtx.distributed_shampoo(1e-3, b2=0.95, grafting=grafting, every=every, start=1, stagger=stagger)


OPTIMIZERS: dict[str, Callable[[int, bool], Any]] = {"soap": soap, "distributed_shampoo": shampoo}


class Run:
    """An optimizer, compiled, and the shortest time of each of its steps so far."""

    def __init__(self, tx: Any):
        keys = jax.random.split(jax.random.key(0), MATRICES)
        self.tx, self.seconds = tx, [math.inf] * STEPS
        self.params = {f"layer {k}": jax.random.normal(key, (SIZE, SIZE)) for k, key in enumerate(keys)}
        state = tx.init(self.params)
        self.step = jax.jit(tx.update, donate_argnums=1).lower(self.params, state, self.params).compile()
        self.gradients = jax.jit(lambda k: jax.tree.map(lambda p: p * jnp.cos(k * p), self.params))
        analysis: Any = self.step.memory_analysis()
        self.bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state)), analysis.temp_size_in_bytes

    def again(self) -> None:
        """Run from the start; the first steps, which make all decompositions, do not count."""
        state = self.tx.init(self.params)
        for k in range(-EVERY, STEPS):
            g = jax.block_until_ready(self.gradients(float(k + EVERY + 1)))
            begin = time.perf_counter()
            _, state = jax.block_until_ready(self.step(g, state, self.params))
            if k >= 0:
                self.seconds[k] = min(self.seconds[k], time.perf_counter() - begin)


def table() -> Table:
    result = Table(title=f"{MATRICES} matrices of {SIZE} by {SIZE}, decompositions every {EVERY} steps")
    columns = ["optimizer", "step without, ms", "median step", "mean step", "longest step", "state, MB", "temporary, MB"]
    for column in columns:
        result.add_column(column, justify="left" if column == "optimizer" else "right")
    for name, make in OPTIMIZERS.items():
        without, together, in_turns = Run(make(NEVER, False)), Run(make(EVERY, False)), Run(make(EVERY, True))
        for run in (without, together, in_turns) * RUNS:  # by turns: what else the machine does slows all of them
            run.again()
        unit = statistics.median(without.seconds)
        for title, run in ((name, together), (f"{name}, staggered", in_turns)):
            times = [f"{pick(run.seconds) / unit:.2f}" for pick in (statistics.median, statistics.fmean, max)]
            result.add_row(title, f"{1e3 * unit:.1f}", *times, *(f"{size / 1e6:.1f}" for size in run.bytes))
    return result


if __name__ == "__main__":
    Console(width=120).print(table())
