"""Optimizers move as those of packages by other people, most of them the methods' authors: see tests/golden."""

from typing import Any

import independent_packages_cases as packages
import problem
import pytest
import recorded

import gradtx
from gradtx.interop.torch import step_lr

GOLDEN = recorded.read("independent_packages")
RATE = 2**-6
BETAS = packages.BETAS
TORCHS_AXES = gradtx.MuonDimensionNumbers(reduction_axis=1, output_axis=0)  # outputs by inputs


def halving(rate: float) -> Any:
    return step_lr(rate, **packages.LR_HALVES)


def with_penalty(tx: Any, penalty: float = 0.5) -> Any:
    """Gradients of a loss to which a quadratic one is added."""
    return gradtx.chain(gradtx.add_decayed_weights(penalty), tx)


def stepping(direction: Any, weight_decay: Any = 0.1, rate: Any = RATE) -> Any:
    return gradtx.chain(direction, gradtx.add_decayed_weights(weight_decay), gradtx.scale_by_learning_rate(rate))


def clip(count):
    return count**0.333


LAPROP = gradtx.chain(gradtx.scale_by_rms(0.97, 1e-15, eps_in_sqrt=False, bias_correction=True), gradtx.ema(0.9))
MARS = gradtx.chain(gradtx.correct_by_last_gradient(0.05, 0.9), gradtx.clip_by_block_norm(1.0), gradtx.scale_by_adam(*BETAS))
ADAFACTOR: dict[str, Any] = {"min_dim_size_to_factor": 2, "multiply_by_parameter_scale": False}
ADAM_MINI: dict[Any, Any] = {"bias": "entries", "*": "whole"}
MUON: dict[str, Any] = {
    "weight_dimension_numbers": TORCHS_AXES,
    "beta": 0.9,
    "eps": 1e-7,
    "eps_as_floor": True,
    "bias_correction": False,
}

TRANSFORMATIONS: dict[str, Any] = {
    "prodigy": with_penalty(gradtx.prodigy(estim_lr0=1e-2)),
    "prodigy, decay": with_penalty(gradtx.prodigy(1.0, BETAS, 0.95, 1e-3, weight_decay=0.1, estim_lr0=1e-2)),
    "prodigy, safeguard": with_penalty(gradtx.prodigy(halving(1.0), safeguard_warmup=True, estim_lr_coef=2.0, estim_lr0=1e-2)),
    "dadapt_adamw": with_penalty(gradtx.dadapt_adamw(estim_lr0=1e-2)),
    "dadapt_adamw, decay": with_penalty(gradtx.dadapt_adamw(halving(1.0), BETAS, eps=1e-3, estim_lr0=1e-2, weight_decay=0.1)),
    "dog": with_penalty(gradtx.dog(init_step=("heuristic", 1e-2))),
    "dog, decay": gradtx.dog(halving(0.5), ("heuristic", 1e-2), eps=1e-3, weight_decay=0.1),
    "dog, first rate": gradtx.dog(init_step=("learning_rate", 0.1)),
    "dowg": with_penalty(gradtx.dowg(eps=1e-2)),
    "cocob": gradtx.cocob(),
    "cocob, decay": gradtx.cocob(alpha=3.0, eps=1e-3, weight_decay=0.1),
    "momo": gradtx.momo(0.25, lower_bound=1.0),
    "momo, decay": gradtx.momo(halving(0.25), 0.8, lower_bound=0.5, weight_decay=0.1),
    "momo, bound": gradtx.momo(0.25, lower_bound=-1.0, adapt_lower_bound=True),
    "momo_adam": gradtx.momo_adam(0.05, lower_bound=1.0),
    "momo_adam, decay": gradtx.momo_adam(halving(0.25), *BETAS, eps=1e-3, lower_bound=2.0, weight_decay=0.1),
    "momo_adam, bound": gradtx.momo_adam(0.05, lower_bound=-1.0, adapt_lower_bound=True),
    "schedule_free_sgd": gradtx.schedule_free_sgd(0.1),
    "schedule_free_sgd, warm-up": gradtx.schedule_free_sgd(0.1, warmup_steps=7, b1=0.8, weight_decay=0.1),
    "schedule_free_adamw": gradtx.schedule_free_adamw(0.05),
    "schedule_free_adamw, warm-up": gradtx.schedule_free_adamw(0.05, 7, 0.8, 0.97, eps=1e-3, weight_decay=0.1),
    "schedule_free_radam": gradtx.schedule_free_radam(0.05, b2=0.97),
    "schedule_free_radam, decay": gradtx.schedule_free_radam(0.05, 0.8, 0.9, eps=1e-3, weight_decay=0.1),
    "lion": gradtx.lion(halving(RATE), weight_decay=0.1),
    "madgrad": gradtx.madgrad(RATE),
    "madgrad, decay": gradtx.madgrad(halving(RATE), momentum=0.5, weight_decay=0.1, eps=1e-3),
    "adabelief": gradtx.adabelief(RATE),
    "adabelief, decay": gradtx.adabelief(halving(RATE), *BETAS, eps=1e-3, eps_root=1e-3, weight_decay=0.1),
    "adabelief, timm": gradtx.adabelief(RATE, weight_decay=0.1),
    "adopt": gradtx.adopt(halving(RATE)),
    "adopt, decoupled decay": gradtx.adopt(halving(RATE), *BETAS, clip_value_fn=clip, weight_decay=0.1),
    "adopt, coupled decay": gradtx.adopt(RATE, *BETAS, clip_value_fn=clip, weight_decay=0.1, decoupled=False),
    "adan": gradtx.adan(halving(RATE), 0.9, 0.8, 0.97, eps_root=0.0),
    "adan, decoupled decay": gradtx.adan(RATE, 0.9, 0.8, 0.97, eps_root=0.0, weight_decay=0.1),
    "adan, proximal decay": gradtx.adan(halving(RATE), 0.9, 0.8, 0.97, eps_root=0.0, weight_decay=0.1, proximal=True),
    "laprop": gradtx.chain(gradtx.laprop(RATE, *BETAS), gradtx.decay_after_step(RATE, 0.1)),
    "laprop, halving": gradtx.chain(
        gradtx.laprop(halving(RATE), *BETAS, eps=1e-3), gradtx.decay_after_step(halving(RATE), 0.1)
    ),
    "stable_adamw": gradtx.stable_adamw(RATE, *BETAS, weight_decay=0.1),
    "stable_adamw, halving": gradtx.stable_adamw(halving(RATE), eps=1e-3, weight_decay=0.1),
    "came": gradtx.came(RATE),
    "came, decay": gradtx.came(halving(RATE), 0.8, 0.97, 0.99, clipping_threshold=0.5, weight_decay=0.1),
    "adam_mini": gradtx.adam_mini(
        RATE, *BETAS, eps=1e-3, weight_decay=0.1, mask=gradtx.not_matching("bias"), blocks={"kernel": "inputs", **ADAM_MINI}
    ),
    "mars_adamw": gradtx.mars_adamw(RATE, *BETAS, gamma=0.05, weight_decay=0.1),
    "mars_lion": gradtx.mars_lion(RATE, 0.9, gamma=0.05, weight_decay=0.1),
    "cautious adamw": stepping(gradtx.cautious(gradtx.scale_by_adam(*BETAS))),
    "cautious lion": stepping(gradtx.cautious(gradtx.scale_by_lion(*BETAS))),
    "cautious adopt": stepping(gradtx.cautious(gradtx.scale_by_adopt(*BETAS)), weight_decay=0.0),
    "cautious laprop": gradtx.chain(
        gradtx.cautious(LAPROP), gradtx.scale_by_learning_rate(RATE), gradtx.decay_after_step(RATE, 0.1)
    ),
    "cautious mars_adamw": stepping(gradtx.cautious(MARS)),
    "cautious lamb": gradtx.chain(
        gradtx.cautious(gradtx.scale_by_adam(eps=1e-6)),
        gradtx.add_decayed_weights(0.1),
        gradtx.scale_by_trust_ratio(),
        gradtx.scale_by_learning_rate(halving(RATE)),
    ),
    "cautious sgd": stepping(gradtx.cautious(gradtx.trace(0.9, nesterov=True)), rate=2**-4),
    "corrected decay, adamw": gradtx.adamw(halving(RATE), *BETAS, weight_decay=halving(0.1)),
    "corrected decay, lion": gradtx.lion(halving(RATE), *BETAS, weight_decay=halving(0.1)),
    "lamb": gradtx.lamb(halving(RATE), weight_decay=0.1),
    "lamb, clipped": gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.lamb(RATE, weight_decay=0.1)),
    "lamb, no decay": gradtx.lamb(RATE),
    "lamb, no decay or ratio": gradtx.adam(RATE, eps=1e-6),
    "lars, no decay": gradtx.chain(
        gradtx.scale_by_trust_ratio(trust_coefficient=1e-3, eps=1e-8),
        gradtx.trace(0.9),
        gradtx.scale_by_learning_rate(halving(4.0)),
    ),
    "novograd": gradtx.novograd(halving(RATE), 0.95, 0.98, eps=1e-8, weight_decay=0.1),
    "novograd, decoupled decay": stepping(gradtx.scale_by_novograd(0.95, 0.98)),
    "rmsprop": gradtx.rmsprop(halving(RATE), 0.9, eps=1e-3, initial_scale=1.0, momentum=0.9),
    "adafactor": gradtx.adafactor(RATE, **ADAFACTOR),
    "adafactor, decay": gradtx.adafactor(RATE, clipping_threshold=None, weight_decay_rate=0.01, **ADAFACTOR),
    "muon": stepping(
        gradtx.chain(gradtx.scale_by_muon("dion", **MUON), gradtx.scale_by_matrix_shape(TORCHS_AXES)), rate=halving(RATE)
    ),
    "muon, moonlight": stepping(
        gradtx.chain(
            gradtx.scale_by_muon("dion", nesterov=False, **MUON),
            gradtx.scale_by_matrix_shape(TORCHS_AXES, consistent_rms=0.2),
        )
    ),
    "muon, scion": stepping(
        gradtx.chain(
            gradtx.scale_by_muon("dion", ns_steps=3, nesterov=False, **MUON),
            gradtx.scale_by_matrix_shape(TORCHS_AXES, shape_factor="scion"),
        )
    ),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_moves_as_the_package_does(name):
    case = packages.CASES[name]
    extra_args = {"value": packages.losses()} if case.optimizer.startswith("momo.") else None
    names = packages.PARAMS.get(case.optimizer, problem.SHAPES)
    assert recorded.difference(TRANSFORMATIONS[name], GOLDEN[name], case.scale, extra_args, names) < 1e-12
