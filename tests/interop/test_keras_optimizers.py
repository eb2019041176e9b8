"""Keras's optimizers: the same numbers as Keras, and the laws."""

import inspect
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import problem
import pytest
import recorded
from keras_optimizers_cases import CASES, LR_HALVES, Case

import gradtx
from gradtx.interop import keras
from gradtx.testing import check_transformation, sample_params

GOLDEN = recorded.read("keras_optimizers")
NAMES = {"ScheduleFreeAdamW": "schedule_free_adamw"}


def transformation(case: Case, **more: Any) -> gradtx.GradientTransformation:
    """The same call in gradtx."""
    options = {**case.options, **more}
    factory = getattr(keras, NAMES.get(case.optimizer, case.optimizer.lower()))
    if options.pop("lr_halves", False):
        rate = options.get("learning_rate", inspect.signature(factory).parameters["learning_rate"].default)
        options["learning_rate"] = keras.exponential_decay(rate, **LR_HALVES)
    if excluded := options.pop("exclude", None):
        options["mask"] = {name: name not in excluded for name in problem.SHAPES}
    return factory(**options)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_moves_as_keras_does(case):
    recorded.assert_moves_as_recorded(transformation(case), GOLDEN[str(case)], case.scale)
