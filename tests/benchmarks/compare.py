"""Compare gradtx with Optax, and with torch's fused AdamW: `python tests/benchmarks/compare.py`.

The contenders take turns in one process, because machines are noisy; what counts is the ratio of medians. Each runs clip by
global norm, AdamW and a warm-up + cosine schedule, with donated params and state, on

  (a) 1000 leaves of 12 small shapes, where overhead shows;
  (b) the 148 leaves of a GPT-2 of 124 M parameters, where memory traffic shows;
  (c) one leaf of 16 M, where only the arithmetic is left.
"""

import argparse
import importlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.progress import track
from rich.table import Table

import gradtx

Tree = Any
LIBRARIES: dict[str, ModuleType] = {"optax": optax, "gradtx": gradtx}
MEASURES = ["trace+lower s", "compile s", "step ms", "temporaries MB", "un-jitted ms"]


class Case(NamedTuple):
    """What is optimized, and how often each thing is measured."""

    title: str
    shapes: list[tuple[int, ...]]
    builds: int
    steps: int
    eager_steps: int


def small_leaves() -> list[tuple[int, ...]]:
    shapes = [(), (8,), (16,), (64,), (7,), (4, 4), (8, 8), (16, 16), (3, 5), (9, 9), (2, 3, 4), (5, 1, 6)]
    return list(itertools.islice(itertools.cycle(shapes), 1000))


def gpt2_small() -> list[tuple[int, ...]]:
    d = 768
    attention = [(d, 3 * d), (3 * d,), (d, d), (d,)]
    feed_forward = [(d, 4 * d), (4 * d,), (4 * d, d), (d,)]
    block = [(d,), (d,), *attention, (d,), (d,), *feed_forward]
    return [(50257, d), (1024, d), *block * 12, (d,), (d,)]


CASES = {
    "a": Case("1000 leaves of 12 small shapes", small_leaves(), builds=5, steps=60, eager_steps=5),
    "b": Case("GPT-2 124M, 148 leaves", gpt2_small(), builds=5, steps=15, eager_steps=3),
    "c": Case("one leaf of 16 M", [(16_000_000,)], builds=15, steps=60, eager_steps=7),
}


def optimizer(library: ModuleType) -> Any:
    schedule = library.warmup_cosine_decay_schedule(0.0, 1e-3, warmup_steps=100, decay_steps=10_000)
    return library.chain(library.clip_by_global_norm(1.0), library.adamw(schedule))


def training_step(library: ModuleType, tx: Any) -> Callable[..., tuple[Tree, Tree]]:
    def step(params: Tree, state: Tree, gradients: Tree) -> tuple[Tree, Tree]:
        updates, state = tx.update(gradients, state, params)
        return library.apply_updates(params, updates), state

    return step


def params_of(case: Case) -> Tree:
    return {f"leaf_{i}": jnp.full(shape, 0.02) for i, shape in enumerate(case.shapes)}


class Contender:
    """An optimizer of one library on one case."""

    def __init__(self, library: ModuleType, tx: Any, case: Case):
        self.step = training_step(library, tx)
        self.params = params_of(case)
        self.state = tx.init(self.params)
        self.gradients = jax.tree.map(lambda p: jnp.full_like(p, 1e-3), self.params)
        self.compiled: Any = None
        self.times: dict[str, list[float]] = {name: [] for name in MEASURES}

    def build(self) -> None:
        jax.clear_caches()
        start = time.perf_counter()
        jitted = jax.jit(lambda *args: self.step(*args), donate_argnums=(0, 1))
        lowered = jitted.trace(self.params, self.state, self.gradients).lower()
        middle = time.perf_counter()
        self.compiled = lowered.compile()
        self.times["compile s"].append(time.perf_counter() - middle)
        self.times["trace+lower s"].append(middle - start)
        self.times["temporaries MB"].append(self.compiled.memory_analysis().temp_size_in_bytes / 1e6)

    def run(self) -> None:
        start = time.perf_counter()
        self.params, self.state = jax.block_until_ready(self.compiled(self.params, self.state, self.gradients))
        self.times["step ms"].append(1e3 * (time.perf_counter() - start))

    def run_eagerly(self, *, warm_up: bool = False) -> None:
        start = time.perf_counter()
        jax.block_until_ready(self.step(self.params, self.state, self.gradients))
        if not warm_up:
            self.times["un-jitted ms"].append(1e3 * (time.perf_counter() - start))


def compete(case: Case, make: Callable[[ModuleType], Any] = optimizer) -> dict[str, Contender]:
    contenders = {name: Contender(library, make(library), case) for name, library in LIBRARIES.items()}
    take_turns(case, "build", case.builds, [contender.build for contender in contenders.values()])
    for contender in contenders.values():
        contender.run()
        contender.times["step ms"].clear()
    take_turns(case, "step", case.steps, [contender.run for contender in contenders.values()])
    for contender in contenders.values():
        contender.run_eagerly(warm_up=True)
    take_turns(case, "un-jitted", case.eager_steps, [contender.run_eagerly for contender in contenders.values()])
    return contenders


def take_turns(case: Case, what: str, rounds: int, actions: Iterable[Callable[[], None]]) -> None:
    actions = list(actions)
    for _ in track(range(rounds), f"{case.title}: {what}", transient=True):
        for action in actions:
            action()


def torch_step_ms(case: Case) -> float | None:
    """Median time of torch's fused AdamW with clipping, or None where torch is not installed."""
    try:
        torch: Any = importlib.import_module("torch")  # not a dependency
    except ImportError:
        return None
    params = [torch.nn.Parameter(torch.full(shape, 0.02)) for shape in case.shapes]
    for p in params:
        p.grad = torch.full_like(p, 1e-3)
    adamw = torch.optim.AdamW(params, fused=True)
    times = []
    for _ in range(case.steps + 1):
        start = time.perf_counter()
        torch.nn.utils.clip_grad_norm_(params, 1.0, foreach=True)
        adamw.step()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def table(title: str, contenders: dict[str, Contender]) -> Table:
    result = Table(title=title)
    for column in ["", *contenders, "gradtx / optax"]:
        result.add_column(column, justify="right")
    for measure in MEASURES:
        medians = [float(np.median(contender.times[measure])) for contender in contenders.values()]
        ratio = medians[1] / medians[0] if medians[0] else float("nan")
        result.add_row(measure, *(f"{median:.4g}" for median in medians), f"{ratio:.2f}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    console = Console()
    for name in parser.parse_args().cases:
        contenders = compete(CASES[name])
        console.print(table(CASES[name].title, contenders))
        if name == "c" and (torch_ms := torch_step_ms(CASES[name])) is not None:
            console.print(f"torch's fused AdamW, with clipping: {torch_ms:.4g} ms a step")


if __name__ == "__main__":
    main()
