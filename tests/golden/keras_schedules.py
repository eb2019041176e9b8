"""Write keras_schedules.npz: the learning rates of Keras 3.15.0 at the recorded steps, in float64, by the call.

python tests/golden/keras_schedules.py
"""
# /// script
# dependencies = ["keras==3.15.0", "numpy", "torch==2.13.0"]
# ///

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from keras_schedules_cases import CASES, STEPS, call

os.environ["KERAS_BACKEND"] = "torch"  # its numpy backend makes float32 of a number, whatever floatx is
keras: Any = importlib.import_module("keras")


def rates(name: str, arguments: dict[str, Any]) -> np.ndarray:
    factory = getattr(keras.optimizers.schedules, name.title().replace("_", ""))
    schedule = factory(**arguments)
    return np.array([float(schedule(int(step))) for step in STEPS])


def main() -> None:
    assert keras.__version__ == "3.15.0", keras.__version__
    keras.config.set_floatx("float64")
    arrays: dict[str, Any] = {call(name, arguments): rates(name, arguments) for name, arguments in CASES}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
