"""Distributed Shampoo, and KL-Shampoo, against facebook's trajectories."""

from typing import Any

import golden_runs
import pytest

import gradtx

RATE = 2.0**-6
FALLING = gradtx.linear_schedule(RATE, 0.0, 64)
ADAM = gradtx.scale_by_adam(0.9, 0.93)
MEAN = gradtx.ema(0.9)


def shampoo(learning_rate: Any = RATE, grafting: Any = ADAM, **changes: Any):
    chosen = {"eps": 1e-8, "weight_decay": 0.1, **changes}
    return gradtx.distributed_shampoo(learning_rate, 0.9, 0.95, grafting=grafting, **chosen)


RUNS = {
    "shampoo.adam_graft": shampoo(),
    "shampoo.adam_graft.every3": shampoo(every=3),
    "shampoo.adam_graft.every3.start5": shampoo(every=3, start=5),
    "shampoo.adam_graft.ridge": shampoo(every=2, eps=2.0**-7),
    "shampoo.sgd_graft": shampoo(grafting=MEAN),
    "shampoo.sgd_graft.every3": shampoo(grafting=MEAN, every=3),
    "shampoo.rms_graft": shampoo(grafting=gradtx.scale_by_gradient_rms(MEAN, 0.93, bias_correction=False)),
    "shampoo.adagrad_graft": shampoo(grafting=gradtx.scale_by_gradient_rms(MEAN, 1.0), every=3, start=4),
    "shampoo.no_graft": shampoo(grafting=None, eps=2.0**-10),
    "shampoo.no_graft.every3.start3": shampoo(grafting=None, eps=2.0**-10, every=3),
    "shampoo.beta3": shampoo(grafting=gradtx.scale_by_gradient_rms(gradtx.ema(0.9, output_decay=0.8), 0.93), b3=0.8),
    "shampoo.exponent_half": shampoo(exponent=0.5),
    "shampoo.scheduled": shampoo(FALLING),
    "shampoo.corrected_decay": shampoo(FALLING, decay_type="corrected", peak_learning_rate=RATE),
    "shampoo.independent_decay": shampoo(FALLING, decay_type="independent", peak_learning_rate=RATE, weight_decay=2.0**-10),
    "shampoo.l2_decay": shampoo(decay_type="l2"),
    "kl_shampoo.adam_graft": shampoo(kl=True),
    "kl_shampoo.adam_graft.every3": shampoo(kl=True, every=3),
    "kl_shampoo.no_graft": shampoo(kl=True, grafting=None, eps=2.0**-10),
    "kl_shampoo.exponent_half": shampoo(kl=True, exponent=0.5),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("entry", RUNS)
def test_it_moves_as_the_authors_code_does(entry):
    golden_runs.assert_moves_as(entry, RUNS[entry], atol=1e-11 if "half" in entry else 1e-12)
