"""Write keras_optimizers.npz: the parameters under Keras 3.15.0's optimizers, in float64, by the label of each case.

    python tests/golden/keras_optimizers.py

Where an average of the parameters is kept, it is recorded beside them, after the last step. Adafactor and Muon are recorded
twice, as they are and with their means and norms in float64, whose rounding can be compared.
"""
# /// script
# dependencies = ["jax==0.10.2", "keras==3.15.0", "numpy"]
# ///

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
import problem
from keras_optimizers_cases import CASES, IN_FLOAT32, LR_HALVES

os.environ["KERAS_BACKEND"] = "jax"
keras: Any = importlib.import_module("keras")
dtypes: Any = importlib.import_module("keras.src.backend.common.dtypes")


def optimizer_of(case: problem.Case) -> Any:
    options = dict(case.options)
    lr_halves, excluded = options.pop("lr_halves", False), options.pop("exclude", None)
    optimizer_class = getattr(keras.optimizers, case.optimizer)
    if lr_halves:
        learning_rate = options.get("learning_rate", float(optimizer_class().learning_rate))
        options["learning_rate"] = keras.optimizers.schedules.ExponentialDecay(learning_rate, **LR_HALVES)
    optimizer = optimizer_class(**options)
    if excluded:
        optimizer.exclude_from_weight_decay(var_names=excluded)
    return optimizer


def flat(arrays: list[Any]) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(array)) for array in arrays])


def recorded(case: problem.Case) -> dict[str, np.ndarray]:
    """The parameters after each kept step, a row a step, and the average, if there is one."""
    optimizer = optimizer_of(case)
    variables = [keras.Variable(p, name=name) for name, p in problem.start().items()]
    optimizer.build(variables)

    @jax.jit
    def step(state: Any, gradients: list[Any]) -> Any:
        params, optimizer_variables = state
        return optimizer.stateless_apply(optimizer_variables, gradients, params)

    state: Any = [v.value for v in variables], [v.value for v in optimizer.variables]
    rows = []
    for count, gradients in enumerate(problem.gradients(case.scale), 1):
        state = step(state, [jax.numpy.asarray(gradients[v.name]) for v in variables])
        if count in problem.KEPT:
            rows.append(flat(state[0]))
    arrays = {str(case): np.array(rows)}
    if optimizer.use_ema:
        averages = {id(v): value for v, value in zip(optimizer.variables, state[1], strict=True)}
        arrays[f"{case}, average"] = flat([averages[id(v)] for v in optimizer._model_variables_moving_average])
    return arrays


@contextlib.contextmanager
def float64_stays() -> Iterator[None]:
    """Let Keras's rules of dtypes make float64 of float64."""
    with mock.patch.dict(dtypes.BIT64_TO_BIT32_DTYPE, {"float64": "float64"}):
        yield


def main() -> None:
    assert keras.__version__ == "3.15.0", keras.__version__
    jax.config.update("jax_enable_x64", True)
    keras.config.set_floatx("float64")
    arrays: dict[str, Any] = {}
    for case in CASES:
        arrays |= recorded(case)
    with float64_stays():
        for case in IN_FLOAT32:
            arrays |= {f"{label}, in float64": array for label, array in recorded(case).items()}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
