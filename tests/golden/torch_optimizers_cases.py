"""The runs of torch's optimizers that are recorded: name of the optimizer, its options, scale of the gradients.

An option `lr_halves` stands for a learning rate that halves after every 30 steps (StepLR); all others are torch's own.
"""

from problem import cases

LR_HALVES = {"step_size": 30, "gamma": 0.5}


DECOUPLED = {"weight_decay": 0.1, "decoupled_weight_decay": True}

CASES = [
    *cases(
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
        {"lr": 0.05},
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.3},
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "maximize": True},
    ),
    *cases(
        "Adam",
        {"lr": 0.01, "weight_decay": 0.1},
        {},
        {"lr": 0.01, "amsgrad": True},
        {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3, "amsgrad": True, "maximize": True, **DECOUPLED},
    ),
    *cases("AdamW", {"lr": 0.01, "weight_decay": 0.1}, {}, {"lr": 0.01, "amsgrad": True, "maximize": True}),
    *cases("NAdam", {"lr": 0.01, **DECOUPLED}, {}, {"weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True}),
    *cases("RAdam", {"lr": 0.01, **DECOUPLED}, {}, {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    *cases("Adamax", {"lr": 0.01, "weight_decay": 0.1}, {}, {"betas": (0.8, 0.9), "eps": 1e-3, "maximize": True}),
    *cases(
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1},
        {},
        {"initial_accumulator_value": 0.1, "eps": 1e-3, "maximize": True},
    ),
    *cases("Adadelta", {"weight_decay": 0.1}, {}, {"lr": 0.5, "rho": 0.5, "eps": 1e-3, "maximize": True}),
    *cases(
        "RMSprop",
        {"momentum": 0.9, "weight_decay": 0.1},
        {},
        {"alpha": 0.9, "eps": 1e-3, "centered": True, "momentum": 0.5, "maximize": True},
    ),
    *cases("Rprop", {}, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.5), "maximize": True}),
    *cases("ASGD", {"weight_decay": 0.1}, {}, {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 20.0, "maximize": True}),
    *cases(
        "Adafactor",
        {"lr": 0.1, "weight_decay": 0.1},
        {},
        {"lr": 1.0, "beta2_decay": -0.5, "eps": (1e-3, 0.1), "d": 2.0, "maximize": True},
    ),
    *cases("Muon", {}, {"lr": 0.02, "momentum": 0.9, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"}),
]
