"""Is a suggested learning rate a good one? `python tests/benchmarks/learning_rates.py digits characters`.

For each optimizer `find_learning_rate` suggests a rate from each of several seeds. Models are trained to the end, with the rate
falling to 0 along a cosine, from as many other seeds: at these rates, and at each rate of a grid. The table says how much
larger the mean held-out loss is at the suggestions than at the best rate of the grid, with the standard error of that.
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import gradtx
from gradtx.cli.tasks import TASKS, Task
from gradtx.tuning.find_learning_rate import find_learning_rate

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD, momentum 0.9": lambda rate: gradtx.sgd(rate, momentum=0.9),
    "Adam": gradtx.adam,
    "AdamW": lambda rate: gradtx.adamw(rate, weight_decay=0.01),
    "Lion": gradtx.lion,
    "Muon": gradtx.muon,
}
GRID = 10.0 ** (np.arange(-4, 5) / 6)  # times the median suggestion
SEEDS = {"digits": 10, "characters": 3}


class Row(NamedTuple):
    """Suggested rates, the best of the grid, and the held-out losses at these, one a seed."""

    suggested: np.ndarray
    losses: np.ndarray
    best: float
    least: np.ndarray

    def cells(self) -> list[str]:
        """What the table says of it."""
        more = 100 * (self.losses - self.least) / np.mean(self.least)  # of each seed, as many share how hard it is
        error = f" ± {np.std(more, ddof=1) / np.sqrt(len(more)):.1f}" if len(more) > 1 else ""
        low, middle, high = np.min(self.suggested), np.median(self.suggested), np.max(self.suggested)
        return [
            f"{middle:.2g}\n{low:.2g}–{high:.2g}",
            f"{np.mean(self.losses):.4f}",
            f"{self.best:.2g}",
            f"{np.mean(self.least):.4f}",
            f"{np.mean(more):+.1f} %{error}",
        ]


def trained(task: Task, make: Callable[[Any], Any], num_steps: int) -> Callable[[Any, Any], np.ndarray]:
    """A compiled function: from learning rates and seeds to the held-out loss after each run."""

    def run(rate: jax.Array, seed: jax.Array) -> jax.Array:
        tx = make(gradtx.cosine_decay_schedule(rate, num_steps))

        def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
            params, state = carry
            gradients = jax.grad(task.loss)(params, task.draw(key))
            updates, state = tx.update(gradients, state, params)
            return (gradtx.apply_updates(params, updates), state), None

        fresh, drawn = jax.random.split(jax.random.key(seed))
        params = task.init(fresh)
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), jax.random.split(drawn, num_steps))
        return task.held_out_loss(params)

    # One run after another: on a CPU a vmap of so many small matrices takes twice as long.
    compiled = jax.jit(lambda rates, seeds: jax.lax.map(lambda pair: run(*pair), (rates, seeds)))
    return lambda rates, seeds: np.asarray(compiled(jnp.asarray(rates, jnp.float32), jnp.asarray(seeds)))


def row(task: Task, make: Callable[[Any], Any], num_steps: int, seeds: int) -> Row:
    def suggestion(seed: int) -> float:
        fresh, drawn = jax.random.split(jax.random.key(1000 + seed))
        return find_learning_rate(task.loss, task.init(fresh), make(1e-3), task.draw, key=drawn).suggestion

    suggested, own = np.asarray([suggestion(seed) for seed in range(seeds)]), np.arange(seeds)
    rates = np.median(suggested) * GRID
    run = trained(task, make, num_steps)
    losses = run(np.repeat(rates, seeds), np.tile(own, len(rates))).reshape(len(rates), seeds)
    best = int(np.argmin(np.nan_to_num(np.mean(losses, axis=1), nan=np.inf)))
    return Row(suggested, run(suggested, own), rates[best], losses[best])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(SEEDS), choices=list(SEEDS))
    parser.add_argument("--steps", type=int, help="of the runs to the end (by default what the task says)")
    parser.add_argument("--seeds", type=int, help="from which rates are suggested, and models trained")
    given = parser.parse_args()
    for name in given.tasks:
        task = TASKS[name]()
        steps, seeds = given.steps or task.num_steps, given.seeds or SEEDS[name]
        title = f"{name}: {steps} steps, means of {seeds} seeds"
        table = Table("optimizer", "suggested", "loss", "best of a grid", "loss", "more", title=title)
        for label, make in track(OPTIMIZERS.items(), name, transient=True):
            table.add_row(label, *row(task, make, steps, seeds).cells())
        Console().print(table)


if __name__ == "__main__":
    main()
