"""The runs of optimizers of packages on PyPI that are recorded, by name: the class, its options, the scale of the gradients.

Packages are those of the methods' authors where there is one; `timm` has most of the others. Three options are not the
package's own:

- `lr_halves`: the learning rate halves after every 30 steps (StepLR).
- `penalty`: a fraction of the parameters is added to the gradients, as of a quadratic loss. What estimates a learning rate
  would run away on a linear one.
- `names`: what Adam-mini takes a parameter for. "mlp" has a block a row, "wq" a block a head; else a parameter is one block.
  What has "bias" in its name has a block an entry.
"""

import numpy as np
import problem
from problem import Case

PACKAGES = {
    "adabelief-pytorch": "0.2.1",
    "adam-mini": "1.1.1",
    "came-pytorch": "0.1.3",
    "dadaptation": "3.2",
    "dog-optimizer": "1.0.3",
    "dowgopt": "0.13",
    "lion-pytorch": "0.2.5",
    "madgrad": "1.3",
    "momo-opt": "0.1.0",
    "parameterfree": "0.0.1",
    "prodigyopt": "1.1.2",
    "schedulefree": "1.4.1",
    "timm": "1.0.31",
    "torch-optimi": "0.3.3",
}
LR_HALVES = {"step_size": 30, "gamma": 0.5}
DECAY = {"weight_decay": 0.1}
HALVING_DECAY = {**DECAY, "lr_halves": True}
BETAS = (0.9, 0.97)

PRODIGY = {"use_bias_correction": True, "d0": 1e-2, "penalty": 0.5}
DADAPT = {"decouple": True, "use_bias_correction": True, "d0": 1e-2, "penalty": 0.5}
ADABELIEF = {"lr": 2**-6, "rectify": False, "print_change_log": False}
CAUTIOUS = {"lr": 2**-6, "betas": BETAS, **DECAY, "caution": True}
CORRECTED = {"lr": 2**-6, "betas": BETAS, **HALVING_DECAY, "corrected_weight_decay": True}
ADAN = {"lr": 2**-6, "betas": (0.9, 0.8, 0.97)}
MARS = {"lr": 2**-6, "betas": BETAS, "gamma": 0.05, **DECAY, "optimize_1d": True}
LAMB = {"lr": 2**-6, "max_grad_norm": None}
ADAFACTOR = {"lr": 2**-6, "min_dim_size_to_factor": 2, "momentum": None, "beta2_cap": 1.0}
ADAM_MINI = {"lr": 2**-6, "betas": BETAS, "eps": 1e-3, "verbose": False, "names": {"kernel": "mlp"}}
MUON = {"lr": 2**-6, "momentum": 0.9, **DECAY}

CASES: dict[str, Case] = {
    # What estimates its own learning rate.
    "prodigy": Case("prodigyopt.Prodigy", PRODIGY),
    "prodigy, decay": Case("prodigyopt.Prodigy", {**PRODIGY, "betas": BETAS, "beta3": 0.95, "eps": 1e-3, **DECAY}),
    "prodigy, safeguard": Case("prodigyopt.Prodigy", {**PRODIGY, "safeguard_warmup": True, "d_coef": 2.0, "lr_halves": True}),
    "dadapt_adamw": Case("dadaptation.DAdaptAdam", DADAPT),
    "dadapt_adamw, decay": Case("dadaptation.DAdaptAdam", {**DADAPT, "betas": BETAS, "eps": 1e-3, **HALVING_DECAY}),
    "dog": Case("dog.DoG", {"reps_rel": 1e-2, "penalty": 0.5}),
    "dog, decay": Case("dog.DoG", {"reps_rel": 1e-2, "lr": 0.5, "eps": 1e-3, **HALVING_DECAY}),
    "dog, first rate": Case("dog.DoG", {"init_eta": 0.1, "reps_rel": 0.0}),
    "dowg": Case("dowg.DoWG", {"eps": 1e-2, "penalty": 0.5}),
    "cocob": Case("parameterfree.COCOB", {}),
    "cocob, decay": Case("parameterfree.COCOB", {"alpha": 3.0, "eps": 1e-3, **DECAY}),
    "momo": Case("momo.Momo", {"lr": 0.25, "lb": 1.0}),
    "momo, decay": Case("momo.Momo", {"lr": 0.25, "beta": 0.8, "lb": 0.5, **HALVING_DECAY}),
    "momo, bound": Case("momo.Momo", {"lr": 0.25, "lb": -1.0, "use_fstar": True}),
    "momo_adam": Case("momo.MomoAdam", {"lr": 0.05, "lb": 1.0}),
    "momo_adam, decay": Case("momo.MomoAdam", {"lr": 0.25, "betas": BETAS, "eps": 1e-3, "lb": 2.0, **HALVING_DECAY}),
    "momo_adam, bound": Case("momo.MomoAdam", {"lr": 0.05, "lb": -1.0, "use_fstar": True}),
    # What averages the iterates.
    "schedule_free_sgd": Case("schedulefree.SGDScheduleFree", {"lr": 0.1}),
    "schedule_free_sgd, warm-up": Case(
        "schedulefree.SGDScheduleFree", {"lr": 0.1, "momentum": 0.8, "warmup_steps": 7, **DECAY}
    ),
    "schedule_free_adamw": Case("schedulefree.AdamWScheduleFree", {"lr": 0.05}),
    "schedule_free_adamw, warm-up": Case(
        "schedulefree.AdamWScheduleFree", {"lr": 0.05, "betas": (0.8, 0.97), "eps": 1e-3, "warmup_steps": 7, **DECAY}
    ),
    "schedule_free_radam": Case("schedulefree.RAdamScheduleFree", {"lr": 0.05, "betas": (0.9, 0.97)}),
    "schedule_free_radam, decay": Case(
        "schedulefree.RAdamScheduleFree", {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, **DECAY}
    ),
    # Relatives of Adam, and signs.
    "lion": Case("lion_pytorch.Lion", {"lr": 2**-6, **HALVING_DECAY}),
    "madgrad": Case("madgrad.MADGRAD", {"lr": 2**-6}),
    "madgrad, decay": Case("madgrad.MADGRAD", {"lr": 2**-6, "momentum": 0.5, "eps": 1e-3, **HALVING_DECAY}),
    "adabelief": Case("adabelief_pytorch.AdaBelief", ADABELIEF),
    "adabelief, decay": Case("adabelief_pytorch.AdaBelief", {**ADABELIEF, "betas": BETAS, "eps": 1e-3, **HALVING_DECAY}),
    "adopt": Case("timm.optim.adopt.Adopt", {"lr": 2**-6, "clip_exp": 0.25, "lr_halves": True}),
    "adopt, decoupled decay": Case("timm.optim.adopt.Adopt", {"lr": 2**-6, "betas": BETAS, **HALVING_DECAY, "decoupled": True}),
    "adopt, coupled decay": Case("timm.optim.adopt.Adopt", {"lr": 2**-6, "betas": BETAS, **DECAY}),
    "adan": Case("timm.optim.adan.Adan", {**ADAN, "lr_halves": True}),
    "adan, decoupled decay": Case("timm.optim.adan.Adan", {**ADAN, **DECAY, "no_prox": True}),
    "adan, proximal decay": Case("timm.optim.adan.Adan", {**ADAN, **HALVING_DECAY}),
    "mars_adamw": Case("timm.optim.mars.Mars", MARS, scale=4.0),
    "mars_lion": Case("timm.optim.mars.Mars", {**MARS, "mars_type": "lion"}, scale=4.0),
    "adabelief, timm": Case("timm.optim.adabelief.AdaBelief", {"lr": 2**-6, "rectify": False, **DECAY}),
    "laprop": Case("timm.optim.laprop.LaProp", {"lr": 2**-6, "betas": BETAS, **DECAY}),
    "laprop, halving": Case("timm.optim.laprop.LaProp", {"lr": 2**-6, "betas": BETAS, "eps": 1e-3, **HALVING_DECAY}),
    "stable_adamw": Case("optimi.StableAdamW", {"lr": 2**-6, "betas": BETAS, **DECAY}),
    "stable_adamw, halving": Case("optimi.StableAdamW", {"lr": 2**-6, "eps": 1e-3, **HALVING_DECAY}),
    # Cautious: entries that the gradient does not agree with stay.
    "cautious adamw": Case("timm.optim.adamw.AdamWLegacy", CAUTIOUS),
    "cautious lion": Case("timm.optim.lion.Lion", CAUTIOUS),
    "cautious adopt": Case("timm.optim.adopt.Adopt", {"lr": 2**-6, "betas": BETAS, "clip_exp": 0.25, "caution": True}),
    "cautious laprop": Case("timm.optim.laprop.LaProp", CAUTIOUS),
    "cautious mars_adamw": Case("timm.optim.mars.Mars", {**MARS, "caution": True}, scale=4.0),
    "cautious lamb": Case("timm.optim.lamb.Lamb", {**LAMB, **HALVING_DECAY, "caution": True}),
    "cautious sgd": Case("timm.optim.sgdw.SGDW", {"lr": 2**-4, "momentum": 0.9, "nesterov": True, **DECAY, "caution": True}),
    # Weight decay that falls with the square of the learning rate (AdamC).
    "corrected decay, adamw": Case("timm.optim.adamw.AdamWLegacy", CORRECTED),
    "corrected decay, lion": Case("timm.optim.lion.Lion", CORRECTED),
    # Statistics of rows, columns, blocks or whole arrays.
    "lamb": Case("timm.optim.lamb.Lamb", {**LAMB, **HALVING_DECAY}),
    "lamb, clipped": Case("timm.optim.lamb.Lamb", {"lr": 2**-6, **DECAY}),
    "lamb, no decay": Case("timm.optim.lamb.Lamb", {**LAMB, "weight_decay": 0.0, "always_adapt": True}),
    "lamb, no decay or ratio": Case("timm.optim.lamb.Lamb", {**LAMB, "weight_decay": 0.0}),
    "lars, no decay": Case("timm.optim.lars.Lars", {"lr": 4.0, "momentum": 0.9, "always_adapt": True, "lr_halves": True}),
    "novograd": Case("timm.optim.nvnovograd.NvNovoGrad", {"lr": 2**-6, **HALVING_DECAY}),
    "novograd, decoupled decay": Case("timm.optim.nvnovograd.NvNovoGrad", {"lr": 2**-6, **DECAY, "decoupled_decay": True}),
    "rmsprop": Case("timm.optim.rmsprop_tf.RMSpropTF", {"lr": 2**-6, "momentum": 0.9, "eps": 1e-3, "lr_halves": True}),
    "adafactor": Case("timm.optim.adafactor_bv.AdafactorBigVision", {**ADAFACTOR, "clipping_threshold": 1.0}),
    "adafactor, decay": Case(
        "timm.optim.adafactor_bv.AdafactorBigVision", {**ADAFACTOR, "weight_decay": 0.01, "unscaled_wd": True}
    ),
    "came": Case("came_pytorch.CAME", {"lr": 2**-6}),
    "came, decay": Case("came_pytorch.CAME", {"lr": 2**-6, "betas": (0.8, 0.97, 0.99), "clip_threshold": 0.5, **HALVING_DECAY}),
    "adam_mini": Case("adam_mini.Adam_mini", {**ADAM_MINI, **DECAY}),
    "adam_mini, heads": Case("adam_mini.Adam_mini", {**ADAM_MINI, "names": {"kernel": "wq"}, "dim": 6, "n_heads": 6}),
    "muon": Case("timm.optim.muon.Muon", {**MUON, "nesterov": True, "adjust_lr_fn": "original", "lr_halves": True}),
    "muon, moonlight": Case("timm.optim.muon.Muon", MUON),
    "muon, scion": Case("timm.optim.muon.Muon", {**MUON, "adjust_lr_fn": "rms_to_rms", "ns_steps": 3}),
}

ARRAYS = ["bias", "deep", "kernel"]
PARAMS = {"dowg.DoWG": ARRAYS, "timm.optim.muon.Muon": ["kernel"], "timm.optim.nvnovograd.NvNovoGrad": ARRAYS}
"""The parameters that a class is run on, if not on all.

DoWG's code fails on scalars, timm's NovoGrad starts again where all gradients so far were 0, as the scalar's are at first, and
Muon is for matrices.
"""


def losses() -> np.ndarray:
    """Return the loss at each step, for what reads it: multiples of 2⁻¹⁰ that fall from about 10 to 0."""
    noise = np.random.default_rng(2).integers(0, 2**10, size=problem.STEPS) / 2.0**10
    return noise + 3 * (problem.STEPS - np.arange(problem.STEPS)) // 2**5
