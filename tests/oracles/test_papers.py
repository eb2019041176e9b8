"""Trajectories equal the paper's pseudo-code in NumPy, where no other library is the oracle."""

import chex
import jax
import numpy as np
import pytest
import trajectories

import gradtx


def bounded(g, m, v, v_max, p, t, *, rate, first_rate, final_rate, b1, b2, eps, gamma, weight_decay, amsbound):
    """One step of AdaBound or AMSBound, as in the authors' code (Luo et al. 2019), with decoupled weight decay."""
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g**2
    v_max = np.maximum(v_max, v)
    step_size = rate * np.sqrt(1 - b2**t) / (1 - b1**t)
    final = final_rate * rate / first_rate
    lower, upper = final * (1 - 1 / (gamma * t + 1)), final * (1 + 1 / (gamma * t))
    step = np.clip(step_size / (np.sqrt(v_max if amsbound else v) + eps), lower, upper) * m
    return p - step - rate * weight_decay * p, m, v, v_max


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scheduled", [False, True], ids=["constant", "scheduled"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["adabound", "amsbound"])
def test_bounded_adam_moves_as_its_authors_code(name, weight_decay, scheduled):
    def rate(t):
        return 0.01 / (1 + 0.2 * t) if scheduled else 0.01

    settings = {"b1": 0.8, "b2": 0.95, "eps": 1e-6, "gamma": 0.05, "weight_decay": weight_decay}
    learning_rate = (lambda count: rate(count.astype(float))) if scheduled else 0.01
    tx = getattr(gradtx, name)(learning_rate, final_learning_rate=0.5, **settings)
    start = trajectories.params()
    path, _ = trajectories.run(tx, start)

    def expected(p, *gradients):
        m = v = v_max = np.zeros_like(p)
        for t, g in enumerate(gradients):
            p, m, v, v_max = bounded(
                np.asarray(g), m, v, v_max, p, t + 1,
                rate=rate(t), first_rate=0.01, final_rate=0.5, amsbound=name == "amsbound", **settings,
            )  # fmt: skip
        return p

    gradients = [trajectories.gradients(start, t) for t in range(trajectories.STEPS)]
    chex.assert_trees_all_close(path[-1], jax.tree.map(expected, jax.tree.map(np.asarray, start), *gradients), rtol=1e-11)
