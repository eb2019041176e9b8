"""Make `runs.npz`: training runs that are healthy, or ill in a known way. `python tests/watching/record_runs.py`.

Each is of handwritten digits or of characters of a text, by SGD with momentum or AdamW, at a multiple of the best learning rate
for it, which a grid has found; with and without warm-up, in float32, float16 without scaling, or bfloat16. What a run is called
here is told by how it was made and how it ended beside the best of its kind, not by the shape of its loss.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

import gradtx
from gradtx.cli.tasks import of_characters, of_digits

RUNS = Path(__file__).with_name("runs.npz")
STEPS = {"digits": 400, "characters": 300}
BEST = {("digits", "sgd"): 0.15, ("digits", "adamw"): 0.015, ("characters", "sgd"): 0.15, ("characters", "adamw"): 0.01}
FIXED_SCALE = 2.0**18
COLUMNS = ("step", "learning_rate", "update_ratio", "clip_factor", "nonfinite", "rounded_away")


@dataclasses.dataclass(frozen=True)
class Run:
    """How a run is made, and what it is called."""

    called: str
    task: str
    optimizer: str
    factor: float  # of the best learning rate
    schedule: str = "cosine"
    warmup: float = 0.1  # share of the steps
    dtype: str = "float32"
    max_norm: float = float("inf")
    seed: int = 0

    @property
    def name(self) -> str:
        return ",".join(str(value) for value in dataclasses.astuple(self))


class Recording(NamedTuple):
    """A run as it was read: how it was made, in words, what it is called, its seed, its losses, and its record."""

    name: str
    called: str
    seed: int
    losses: np.ndarray
    record: dict[str, np.ndarray]


def read() -> list[Recording]:
    """Return the runs in the file."""
    columns: dict[str, dict[str, np.ndarray]] = {}
    with np.load(RUNS) as arrays:
        for key in arrays.files:
            name, _, column = key.rpartition(":")
            columns.setdefault(name, {})[column] = arrays[key]
    return [
        Recording(name, name.split(",")[0], int(name.split(",")[-1]), record.pop("losses"), record)
        for name, record in columns.items()
    ]


def runs() -> Iterator[Run]:
    """Yield all runs. Those of seed 0 may be looked at to set thresholds, the others not."""
    for seed in (0, 2):
        for task, optimizer in BEST:
            which = task, optimizer
            schedules = ("cosine", "constant") if seed else ("cosine",)
            for schedule in schedules:
                for factor in (0.5, 1.0, 2.0):
                    yield Run("healthy", *which, factor if schedule == "cosine" else factor / 2, schedule, seed=seed)
                yield Run("rate too low", *which, 0.01, schedule, seed=seed)
                yield Run("rate too low", *which, 0.02, schedule, seed=seed)
                yield Run("rate too high", *which, 30.0, schedule, seed=seed)
                yield Run("rate too high", *which, 100.0, schedule, seed=seed)
            yield Run("plateau", *which, 0.1 if task == "digits" else 1.0, "over early", seed=seed)
            yield Run("dead updates", *which, 1e-7, seed=seed)
        for which, factors in {
            ("digits", "adamw"): (3.0, 5.0),
            ("characters", "adamw"): (6.0, 15.0),
            ("characters", "sgd"): (2.0,),
        }.items():
            for factor in factors:
                yield Run("warm-up missing", *which, factor, warmup=0.0, seed=seed)
        yield Run("not finite", "digits", "sgd", 1.0, dtype="float16", seed=seed)
        yield Run("not finite", "characters", "adamw", 1.0, dtype="float16", seed=seed)
        yield Run("dead updates", "characters", "sgd", 0.001, dtype="bfloat16", seed=seed)
        yield Run("dead updates", "digits", "adamw", 0.001, dtype="bfloat16", seed=seed)
        yield Run("clipped", "digits", "sgd", 1.0, max_norm=0.01, seed=seed)


@functools.cache
def trainer(task_name: str, optimizer: str, dtype: str, max_norm: float) -> Callable[..., tuple[jax.Array, Any]]:
    """A compiled function of a seed, the peak of the learning rate, steps of warm-up, and what falls to 0 at which step."""
    task, steps = {"digits": of_digits, "characters": of_characters}[task_name](), STEPS[task_name]

    def loss(params: Any, batch: Any) -> jax.Array:
        return task.loss(gradtx.tree.cast(params, jnp.float32), batch)

    def in_float16(gradient: jax.Array) -> jax.Array:
        """What is left of a gradient of a loss that is scaled by a fixed number, which is too large."""
        return (gradient * FIXED_SCALE).astype(jnp.float16).astype(jnp.float32) / FIXED_SCALE

    @jax.jit
    def train(seed: Any, peak: Any, warm: Any, end: Any) -> tuple[jax.Array, Any]:
        def schedule(count: jax.Array) -> jax.Array:
            return peak * jnp.minimum(1, (count + 1) / warm) * (1 + jnp.cos(jnp.pi * jnp.minimum(count / end, 1))) / 2

        def step(carry: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            params, state = carry
            value, gradients = jax.value_and_grad(loss)(params, task.draw(key))
            gradients = jax.tree.map(in_float16, gradients) if dtype == "float16" else gradients
            updates, state = tx.update(gradients, state, params)
            return (gradtx.apply_updates(params, updates), state), value

        base = gradtx.sgd(schedule, momentum=0.9) if optimizer == "sgd" else gradtx.adamw(schedule, weight_decay=0.01)
        tx = gradtx.recorded(gradtx.chain(gradtx.clip_by_global_norm(max_norm), base), every=10)
        params = gradtx.tree.cast(task.init(jax.random.key(seed)), jnp.bfloat16 if dtype == "bfloat16" else jnp.float32)
        keys = jax.random.split(jax.random.key(100 + seed), steps)
        (_, state), losses = jax.lax.scan(step, (params, tx.init(params)), keys)
        return losses, state

    return train


def recording(run: Run) -> dict[str, np.ndarray]:
    """Train, and return the losses and the columns of the record."""
    steps = STEPS[run.task]
    ends = {"cosine": steps, "constant": 1e9, "over early": steps / 6}
    train = trainer(run.task, run.optimizer, run.dtype, run.max_norm)
    warm = max(1.0, run.warmup * steps)
    losses, state = train(run.seed, BEST[run.task, run.optimizer] * run.factor, warm, ends[run.schedule])
    record = gradtx.history(state)
    return {"losses": np.asarray(losses, np.float32)} | {name: record[name] for name in COLUMNS if name in record}


def main() -> None:
    arrays = {}
    for run in track(list(runs())):
        arrays |= {f"{run.name}:{name}": array for name, array in recording(run).items()}
    np.savez_compressed(RUNS, **arrays)


if __name__ == "__main__":
    main()
