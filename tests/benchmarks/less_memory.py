"""Measure what less memory costs: `python tests/benchmarks/less_memory.py update training`.

- update: AdamW on the leaves of a GPT-2 of 124 M parameters, and on one leaf of 16 M; on matrices APOLLO, too. The contenders
  take turns in one process; what counts is the ratio of medians to AdamW in float32. Parameters and state are donated.
- training: a transformer of 120 000 parameters on the characters of Python's help texts, from 4 seeds: how much larger the
  loss of held-out text is than after training in float32.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from compare import CASES, Case, take_turns, training_step
from rich.console import Console
from rich.progress import track
from rich.table import Table

import gradtx
from gradtx.cli import tasks
from gradtx.tree.codes import FloatCode
from gradtx.tree.quantized import Format, is_quantized, map_quantized

Tree = Any
FLOAT32, BFLOAT16 = jnp.dtype("float32"), jnp.dtype("bfloat16")

# --- the update ---------------------------------------------------------------------------------------------------------

ROUNDS = {"b": 9, "c": 21}


def quantized_all_at_once(inner: Any) -> Any:
    """`quantized` as one would write it first: decode the state, update, encode the state."""
    its_format = Format(FloatCode.of(8), 256)

    def init(params: Tree) -> Tree:
        return jax.tree.map(lambda x: its_format.encode(x) if x.size >= 4096 else x, inner.init(params))

    def update(updates: Tree, state: Tree, params: Tree) -> tuple[Tree, Tree]:
        updates, new_state = inner.update(updates, map_quantized(its_format.decode, state), params)
        pairs = (state, new_state)
        return updates, jax.tree.map(lambda x, y: its_format.encode(y) if is_quantized(x) else y, *pairs, is_leaf=is_quantized)

    return gradtx.GradientTransformation(init, update)


ADAMW = gradtx.adamw(1e-3)
CONTENDERS = {
    "adamw": (ADAMW, FLOAT32),
    "quantized": (gradtx.quantized(ADAMW), FLOAT32),
    "quantized, 4 bits": (gradtx.quantized(ADAMW, bits=4), FLOAT32),
    "quantized, dynamic": (gradtx.quantized(ADAMW, code="dynamic"), FLOAT32),
    "quantized, all at once": (quantized_all_at_once(ADAMW), FLOAT32),
    "compensated": (gradtx.compensated(ADAMW), BFLOAT16),
    "compensated, quantized": (gradtx.compensated(gradtx.quantized(ADAMW)), BFLOAT16),
}
LOW_RANK = {
    "apollo_mini": (gradtx.apollo_mini(1e-3), FLOAT32),
    "apollo, 64 directions": (gradtx.apollo(1e-3, 64), FLOAT32),
    "apollo, 256 directions": (gradtx.apollo(1e-3, 256), FLOAT32),
}


class Contender:
    """An optimizer with parameters of a dtype, and a compiled step."""

    def __init__(self, tx: Any, dtype: Any, case: Case):
        self.params = [jnp.full(shape, 0.02, dtype) for shape in case.shapes]
        self.gradients = [jnp.full(shape, 1e-3, dtype) for shape in case.shapes]
        self.state = tx.init(self.params)
        step = jax.jit(training_step(gradtx, tx), donate_argnums=(0, 1))
        self.compiled = step.lower(self.params, self.state, self.gradients).compile()
        self.times: list[float] = []

    def run(self) -> None:
        start = time.perf_counter()
        self.params, self.state = jax.block_until_ready(self.compiled(self.params, self.state, self.gradients))
        self.times.append(time.perf_counter() - start)

    @property
    def bytes_per_parameter(self) -> float:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.state)) / sum(leaf.size for leaf in self.params)

    @property
    def temporaries(self) -> float:
        analysis = self.compiled.memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes / 1e6


def updates_of(name: str) -> Table:
    case = CASES[name]
    chosen = CONTENDERS if len(case.shapes) == 1 else CONTENDERS | LOW_RANK  # one leaf is a vector
    contenders = {label: Contender(tx, dtype, case) for label, (tx, dtype) in chosen.items()}
    take_turns(case, "step", 1 + ROUNDS[name], [contender.run for contender in contenders.values()])
    medians = {label: float(np.median(contender.times[1:])) for label, contender in contenders.items()}
    table = Table(title=case.title)
    table.add_column(no_wrap=True)
    for column in ("bytes each", "temporaries MB", "step ms", "step / adamw"):
        table.add_column(column, justify="right")
    for label, each in contenders.items():
        times = (f"{1e3 * medians[label]:.0f}", f"{medians[label] / medians['adamw']:.2f}")
        table.add_row(label, f"{each.bytes_per_parameter:.3f}", f"{each.temporaries:.1f}", *times)
    return table


# --- training -----------------------------------------------------------------------------------------------------------

STEPS, SEEDS = 300, 4

OPTIMIZER = gradtx.adamw(gradtx.cosine_decay_schedule(3e-3, STEPS))
TRAINED = {
    "float32": (OPTIMIZER, FLOAT32),
    "bfloat16, as it is": (OPTIMIZER, BFLOAT16),
    "compensated": (gradtx.compensated(OPTIMIZER), BFLOAT16),
    "stochastically_rounded": (gradtx.stochastically_rounded(OPTIMIZER, 0), BFLOAT16),
    "quantized": (gradtx.quantized(OPTIMIZER), FLOAT32),
    "quantized, dynamic": (gradtx.quantized(OPTIMIZER, code="dynamic"), FLOAT32),
    "quantized, 4 bits": (gradtx.quantized(OPTIMIZER, bits=4), FLOAT32),
    "compensated, quantized": (gradtx.compensated(gradtx.quantized(OPTIMIZER)), BFLOAT16),
}


def training(tx: Any, dtype: Any) -> Callable[[jax.Array], jax.Array]:
    """A compiled function: from a seed to the loss of held-out text after training."""
    task = tasks.of_characters()

    def step(carry: tuple[Tree, Tree], key: jax.Array) -> tuple[tuple[Tree, Tree], None]:
        params, state = carry
        gradients = jax.grad(task.loss)(params, task.draw(key))
        updates, state = tx.update(gradients, state, params)
        return (gradtx.apply_updates(params, updates), state), None

    @jax.jit
    def evaluated(seed: jax.Array) -> jax.Array:
        keys = jax.random.split(jax.random.key(seed), 1 + STEPS)
        params = gradtx.tree.cast(task.init(keys[0]), dtype)
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), keys[1:])
        return task.held_out_loss(params)

    return evaluated


def trainings() -> Table:
    table = Table("", "mean", *(f"seed {seed}" for seed in range(SEEDS)), title="Loss of held-out text, minus that of float32")
    losses = {}
    for label, each in track(TRAINED.items(), "train", transient=True):
        run = training(*each)
        losses[label] = np.asarray([run(jnp.asarray(seed)) for seed in range(SEEDS)])
        row = losses[label] - (0 if label == "float32" else losses["float32"])
        table.add_row(label, *(f"{number:+.4f}" for number in (np.mean(row), *row)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["update", "training"], choices=["update", "training"])
    for part in parser.parse_args().parts:
        for table in map(updates_of, ROUNDS) if part == "update" else [trainings()]:
            Console().print(table)


if __name__ == "__main__":
    main()
