"""Print the tables of recipes of other libraries in the guides: `python tests/benchmarks/recipes.py`.

Each row compares with what the other library has left in tests/golden, in float64: the largest difference of a parameter at
any kept step relative to the largest movement, or of a learning rate relative to the largest.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / folder) for folder in (".", "golden", "oracles", "interop")]
jax.config.update("jax_enable_x64", True)

import keras_schedules_cases  # noqa: E402
import recorded  # noqa: E402
import test_keras_optimizers as of_keras  # noqa: E402
import test_keras_schedules  # noqa: E402
import test_torch_optimizers as of_torch  # noqa: E402
import test_torch_plateau  # noqa: E402
import test_torch_schedulers  # noqa: E402
import test_transformers_adafactor as of_transformers  # noqa: E402
import test_transformers_schedules  # noqa: E402
import test_transformers_trainer as of_trainer  # noqa: E402

Row = tuple[str, str, int, float]


def optimizers(library: str, module: Any, special: dict[str, tuple[str, dict[str, Any]]]) -> Iterator[Row]:
    """A row for each optimizer: over all of its cases.

    Args:
      library: its name.
      module: the test module, with CASES, GOLDEN and `transformation`.
      special: for the label of a case, the end of the label that it is recorded by, and the parameters that there are.
    """
    differences = defaultdict(list)
    for case in module.CASES:
        ending, options = special.get(str(case), ("", {}))
        names = options.pop("names", tuple(recorded.problem.SHAPES))
        tx = module.transformation(case, **options)
        golden = module.GOLDEN[f"{case}{ending}"]
        differences[case.optimizer].append(recorded.difference(tx, golden, case.scale, names=names))
    for name, each in differences.items():
        here = getattr(module, "NAMES", {}).get(name, name.lower())
        yield f"{library} `{name}`", f"`{library}.{here}`", len(each), max(each)


def schedules(there: str, here: str, made: dict[str, Any], golden: dict[str, np.ndarray], steps: np.ndarray) -> Row:
    """A row for all schedules of a library: at the steps of the first training, if they go far beyond."""
    differences = []
    for label, schedule in made.items():
        values = np.asarray(schedule(jnp.asarray(steps[: len(golden[label])], jnp.int32)))[:100]
        differences.append(np.max(np.abs(values - golden[label][:100])) / np.max(np.abs(golden[label][:100])))
    return there, here, len(differences), float(max(differences))


def rows() -> Iterator[Row]:
    muon = {str(case): (", in float64", {"ns_dtype": None, "names": ["kernel"]}) for case in of_torch.MUON}
    yield from optimizers("torch", of_torch, muon)
    cases = test_torch_schedulers.CASES
    made = {str(case): test_torch_schedulers.made(case) for case in cases}
    golden, steps = test_torch_schedulers.GOLDEN, test_torch_schedulers.STEPS
    yield schedules("torch schedulers, alone and composed", "`torch.step_lr`, ...", made, golden, steps)
    falls = [
        np.max(np.abs(test_torch_plateau.rates(values, jnp.float64, **options) / plateau - 1))
        for options in test_torch_plateau.CASES
        for name, values in test_torch_plateau.SERIES.items()
        for plateau in [test_torch_plateau.GOLDEN[test_torch_plateau.label(options, name)]]
    ]
    yield "torch `ReduceLROnPlateau`", "`torch.reduce_lr_on_plateau`", len(falls), float(max(falls))
    yield from optimizers("keras", of_keras, {str(case): (", in float64", {}) for case in of_keras.IN_FLOAT32})
    made = {keras_schedules_cases.call(*case): test_keras_schedules.made(*case) for case in keras_schedules_cases.CASES}
    yield schedules(
        "keras schedules", "`keras.cosine_decay`, ...", made, test_keras_schedules.RECORDED, keras_schedules_cases.STEPS
    )
    made = {label: call() for label, call in test_transformers_schedules.CALLS.items()}
    golden, steps = test_transformers_schedules.RECORDED, test_transformers_schedules.STEPS
    yield schedules("transformers `get_scheduler`, `get_..._schedule`", "same names", made, golden, steps)
    yield from optimizers("transformers", of_transformers, {})
    runs = [
        recorded.difference(of_trainer.transformation(case), of_trainer.GOLDEN[str(case)], case.scale)
        for case in of_trainer.ADAMW
    ]
    yield "transformers `Trainer`: AdamW, clipping, schedule", "`transformers.trainer_adamw`", len(runs), max(runs)


def table(rows: Iterable[Row]) -> Iterator[str]:
    yield "| there | here | runs | largest difference |"
    yield "|---|---|--:|--:|"
    for there, here, count, difference in rows:
        yield f"| {there} | {here} | {count} | {difference:.0e} |"


if __name__ == "__main__":
    print(*table(rows()), sep="\n")
