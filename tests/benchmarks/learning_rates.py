"""Is a suggested learning rate a good one? `python tests/benchmarks/learning_rates.py digits characters`.

For each optimizer a rate is suggested by `find_learning_rate`, and a model is trained to the end at it and at each rate of a
grid: a network on handwritten digits, and a transformer of 120 000 parameters on the characters of Python's help texts. The
table says how much larger the held-out loss is at the suggestion than at the best rate of the grid.
"""

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import gradtx
from gradtx.cli.tasks import TASKS, Task
from gradtx.tuning.find_learning_rate import find_learning_rate

OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "SGD, momentum 0.9": lambda rate: gradtx.sgd(rate, momentum=0.9),
    "Adam": gradtx.adam,
    "AdamW": lambda rate: gradtx.adamw(rate, weight_decay=0.01),
    "Lion": gradtx.lion,
    "Muon": gradtx.muon,
}
RATIO = 10 ** (1 / 3)  # of the grid, in which no rate is more than half of that away from the best


def trained(task: Task, make: Callable[[Any], Any]) -> Callable[[float], float]:
    """A compiled function: from a learning rate to the held-out loss at the end, with the rate falling to 0 as a cosine."""

    @jax.jit
    def run(rate: jax.Array) -> jax.Array:
        tx = make(lambda count: rate * (1 + jnp.cos(jnp.pi * count / task.num_steps)) / 2)

        def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
            params, state = carry
            gradients = jax.grad(task.loss)(params, task.draw(key))
            updates, state = tx.update(gradients, state, params)
            return (gradtx.apply_updates(params, updates), state), None

        keys = jax.random.split(jax.random.key(1), task.num_steps)
        params = task.init(jax.random.key(0))
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), keys)
        return task.held_out_loss(params)

    return lambda rate: float(run(jnp.asarray(rate)))


def row(task: Task, make: Callable[[Any], Any]) -> list[str]:
    found = find_learning_rate(task.loss, task.init(jax.random.key(0)), make(1e-3), task.draw)
    run = trained(task, make)
    grid = {rate: run(rate) for rate in (found.suggestion * RATIO**k for k in range(-4, 5))}
    best = min(grid, key=lambda rate: np.nan_to_num(grid[rate], nan=np.inf))
    own, least = grid[found.suggestion], grid[best]
    return [f"{found.suggestion:.2g}", f"{own:.4f}", f"{best:.2g}", f"{least:.4f}", f"{100 * (own / least - 1):+.1f} %"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    for name in parser.parse_args().tasks:
        table = Table("optimizer", "suggested", "loss", "best of a grid", "loss", "more", title=name)
        task = TASKS[name]()
        for label, make in track(OPTIMIZERS.items(), name, transient=True):
            table.add_row(label, *row(task, make))
        Console().print(table)


if __name__ == "__main__":
    main()
