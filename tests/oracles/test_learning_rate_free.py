"""Optimizers that find their own learning rate move as in Optax."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import trajectories

import gradtx

foreign: Any = optax  # another library's classes are not ours to the type checker


def decaying(count):
    return 1 / (1 + 0.5 * jnp.asarray(count, float))


def matrices(params):
    return jax.tree.map(lambda p: p.ndim == 2, params)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("scale", "learning_rate"), [(1e-3, 0.7), (1, decaying), (1e3, 0.7)], ids=["small", "scheduled", "large"]
)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("prodigy", {}),
        ("prodigy", {"betas": (0.5, 0.9), "beta3": 0.8, "eps": 1e-3, "estim_lr0": 0.1, "weight_decay": 0.1}),
        ("prodigy", {"estim_lr_coef": 2.0, "estim_lr0": 1e-2, "safeguard_warmup": True}),
        ("prodigy", {"estim_lr0": 0.03, "estim_lr_coef": 5.0}),
        ("dadapt_adamw", {}),
        ("dadapt_adamw", {"betas": (0.5, 0.9), "eps": 1e-3, "estim_lr0": 0.1, "weight_decay": 0.1}),
        ("dog", {}),
        ("dog", {"init_step": ("distance", 0.1), "eps": 1e-3}),
        ("dog", {"init_step": ("learning_rate", 0.1), "weight_decay": 0.1}),
        ("dog", {"init_step": ("heuristic", 0.1), "weight_decay": 0.1, "mask": matrices}),
        ("dowg", {}),
        ("dowg", {"init_estim_sq_dist": 0.1, "eps": 1e-2, "weight_decay": 0.1}),
        ("dowg", {"weight_decay": 0.1, "mask": matrices}),
        ("cocob", {}),
        ("cocob", {"alpha": 1.0, "eps": 1e-3}),
        ("cocob", {"alpha": 3.0, "weight_decay": 0.1, "mask": matrices}),
    ],
)
def test_it_moves_as_in_optax(name, arguments, scale, learning_rate):
    trajectories.assert_moves_as_in_optax(
        partial(getattr(gradtx, name), learning_rate, **arguments),
        partial(getattr(foreign.contrib, name), learning_rate, **arguments),
        scale=scale,
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_coin_betting_moves_as_in_optax(scale):
    trajectories.assert_moves_as_in_optax(gradtx.scale_by_cocob, foreign.contrib.scale_by_cocob, scale=scale)
