import pickle
from typing import Any

import problem
import pytest
import recorded
from chosen_laws import RECIPE_LAWS
from transformers_adafactor_cases import CASES, LR_HALVES

import gradtx
from gradtx.interop.transformers import adafactor
from gradtx.testing import check_transformation, sample_params

GOLDEN = recorded.read("transformers_adafactor")


def transformation(case: problem.Case) -> gradtx.GradientTransformation:
    """The same call in gradtx."""
    options: dict[str, Any] = dict(case.options)
    if options.pop("lr_halves", False):
        options["lr"] = gradtx.step_decay_schedule(options["lr"], LR_HALVES["step_size"], LR_HALVES["gamma"])
    return adafactor(**options)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_moves_as_the_adafactor_of_transformers_does(case):
    recorded.assert_moves_as_recorded(transformation(case), GOLDEN[str(case)], case.scale)


OPTIONS = [{}, {"lr": 0.01, "relative_step": False, "beta1": 0.9, "weight_decay": 0.1}]


@pytest.mark.parametrize("options", OPTIONS)
def test_keeps_the_laws(options):
    check_transformation(adafactor(**options), sample_params(), laws=None if options else RECIPE_LAWS)


@pytest.mark.parametrize("options", OPTIONS)
def test_is_a_value(options):
    tx = adafactor(**options)
    assert tx == adafactor(**options)
    assert pickle.loads(pickle.dumps(tx)) == tx


def test_a_learning_rate_is_given_or_relative():
    with pytest.raises(ValueError, match=r"give lr with relative_step=False, and none with True, got lr=0\.1"):
        adafactor(0.1)
    with pytest.raises(ValueError, match="got lr=None and relative_step=False"):
        adafactor(relative_step=False)
    with pytest.raises(ValueError, match="warmup_init is of the relative step"):
        adafactor(0.1, relative_step=False, warmup_init=True)
    with pytest.raises(ValueError, match=r"adafactor: eps\[1\] must be at least 0, got -1"):
        adafactor(eps=(1e-30, -1))
