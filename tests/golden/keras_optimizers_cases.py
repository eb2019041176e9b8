"""The runs of Keras's optimizers that are recorded: name of the optimizer, its options, scale of the gradients.

All options are Keras's own but two: `lr_halves` stands for a learning rate that halves after every 30 steps
(ExponentialDecay, as a staircase), and `exclude` names the parameters that `exclude_from_weight_decay` is called with.
"""

from typing import Any

from problem import Case, cases

LR_HALVES = {"decay_steps": 30, "decay_rate": 0.5, "staircase": True}


MOMENTUM = {"learning_rate": 0.05, "momentum": 0.9}
DECAY = {"learning_rate": 0.02, "weight_decay": 0.1}
BETAS = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}

# What Keras's base class adds; gathered gradients with a rate that changes while they are.
SHARED: list[dict[str, Any]] = [
    {"clipnorm": 0.5},
    {"clipvalue": 0.2},
    {"global_clipnorm": 0.5},
    {"loss_scale_factor": 128.0},
    {"use_ema": True, "ema_momentum": 0.9},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 7},
    {"gradient_accumulation_steps": 4, "global_clipnorm": 0.3, "lr_halves": True},
    {"gradient_accumulation_steps": 3, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 5},
    {"exclude": ["bias", "scalar"]},
]

CASES = [
    *cases("SGD", {**MOMENTUM, "weight_decay": 0.1}, {}, {**MOMENTUM, "nesterov": True}),
    *cases("Adam", DECAY, {}, {"amsgrad": True, **BETAS, **DECAY}),
    *cases("AdamW", {"learning_rate": 0.02}, {"amsgrad": True}),
    *cases("RMSprop", {"momentum": 0.9, **DECAY}, {}, {"rho": 0.8, "momentum": 0.5, "epsilon": 1e-3, "centered": True}),
    *cases("Nadam", DECAY, {}, BETAS),
    *cases("Adamax", DECAY, {}, BETAS),
    *cases("Adagrad", DECAY, {}, {"initial_accumulator_value": 0.0, "epsilon": 1e-3}),
    *cases("Adadelta", {"learning_rate": 1.0, "weight_decay": 0.1}, {}, {"rho": 0.5, "epsilon": 1e-3}),
    *cases("Lion", DECAY, {}, {"beta_1": 0.8, "beta_2": 0.95}),
    *cases("Lamb", DECAY, {}, BETAS),
    *cases(
        "Adafactor",
        DECAY,
        {},
        {"learning_rate": 0.5, "relative_step": False},
        {"beta_2_decay": -0.5, "epsilon_1": 1e-6, "epsilon_2": 0.1, "clip_threshold": 2.0},
    ),
    *cases(
        "Ftrl",
        {"learning_rate": 0.5, "weight_decay": 0.1},
        {},
        {
            "learning_rate": 0.5,
            "learning_rate_power": -0.7,
            "initial_accumulator_value": 0.01,
            "l1_regularization_strength": 0.3,
            "l2_regularization_strength": 0.2,
            "l2_shrinkage_regularization_strength": 0.01,
            "beta": 0.5,
        },
    ),
    *cases(
        "Muon",
        {"learning_rate": 0.02},
        {},
        {"momentum": 0.8, "nesterov": False, "rms_rate": None, "adam_weight_decay": None, "adam_lr_ratio": 0.5, "ns_steps": 2},
        {"exclude_layers": ["^ker"], "weight_decay": None, "adam_beta_1": 0.8, "adam_beta_2": 0.95, "epsilon": 1e-3},
    ),
    *cases("ScheduleFreeAdamW", DECAY, {}, {"warmup_steps": 20, "weight_decay": 0.1, **BETAS}),
    *[Case("SGD", {**MOMENTUM, "weight_decay": 0.1, **shared}) for shared in SHARED],
    *[Case("Lamb", {**DECAY, **shared}) for shared in SHARED],
    *[Case("Muon", {"learning_rate": 0.02, **shared}) for shared in SHARED[-3:]],
]

IN_FLOAT32 = [case for case in CASES if case.optimizer in ("Adafactor", "Muon")]
"""Those that use `keras.ops.mean` or `norm`, whose rules of dtypes know no float64 but on TensorFlow."""
