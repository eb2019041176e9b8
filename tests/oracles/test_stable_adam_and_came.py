"""StableAdamW and CAME, against their formulas in NumPy."""

import jax
import numpy as np
import pytest
from golden_runs import STEPS, arrays, trajectory

import gradtx

RATE, B1, B2, DECAY = 2**-6, 0.9, 0.97, 0.1
LEAVES = ("s", "k", "w", "b")


def expected(leaf, step):
    """The parameters after each step of a function (p, g, t, memory) -> p."""
    p, memory = np.array(arrays()[f"params0/{leaf}"], np.float64), {}
    rows = [p]
    for t in range(1, STEPS + 1):
        p = step(p, np.asarray(arrays()[f"grads/{leaf}"][t - 1], np.float64), t, memory)
        rows.append(p)
    return np.stack(rows)


def stable(p, g, t, memory, eps=1e-6):
    m = memory["m"] = B1 * memory.get("m", 0) + (1 - B1) * g
    v = memory["v"] = B2 * memory.get("v", 0) + (1 - B2) * g**2
    m, v = m / (1 - B1**t), v / (1 - B2**t)
    rate = RATE / max(1, np.sqrt(np.mean(g**2 / np.maximum(v, eps**2))))
    return (1 - rate * DECAY) * p - rate * m / (np.sqrt(v) + eps)


def factored(rows, columns):
    return (rows / rows.mean(-1, keepdims=True))[..., None] ** -0.5 * columns[..., None, :] ** -0.5


def confident(p, g, t, memory, b3=0.95):
    def mean(name, new, decay):
        memory[name] = decay * memory.get(name, 0) + (1 - decay) * new
        return memory[name]

    def divisor(name, square, decay):
        return factored(mean(f"{name} rows", square.mean(-1), decay), mean(f"{name} columns", square.mean(-2), decay))

    matrix, square = g.ndim > 1, g**2 + 1e-30
    u = g * (divisor("square", square, B2) if matrix else mean("square", square, B2) ** -0.5)
    u = u / max(1, np.sqrt(np.mean(u**2)))
    m = mean("step", u, B1)
    direction = m * divisor("residual", (u - m) ** 2 + 1e-16, b3) if matrix else m
    return p * (1 - RATE * DECAY) - RATE * direction


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("tx", "step"),
    [
        (gradtx.stable_adamw(RATE, B1, B2, weight_decay=DECAY), stable),
        (gradtx.came(RATE, B1, B2, 0.95, weight_decay=DECAY), confident),
    ],
    ids=["stable_adamw", "came"],
)
def test_it_moves_as_its_formula(tx, step):
    moved, _ = trajectory(tx, LEAVES)
    for leaf in LEAVES:
        np.testing.assert_allclose(moved[leaf], expected(leaf, step), rtol=0, atol=1e-12, err_msg=leaf)


def test_a_sudden_gradient_makes_the_step_and_the_decay_shorter():
    params = {"w": np.ones(4, np.float32), "bias": np.ones(4, np.float32)}
    tx = gradtx.scale_by_stable_adam(0.0, 0.99, weight_decay=0.5, mask=gradtx.not_matching("bias"))
    state = tx.init(params)
    u = params
    for _ in range(50):
        u, state = tx.update(jax.tree.map(lambda p: 0.01 * p, params), state, params)
    np.testing.assert_allclose(u["w"], 1.5, rtol=1e-3)  # expected: nothing is divided
    np.testing.assert_allclose(u["bias"], 1.0, rtol=1e-3)
    u, state = tx.update(params, state, params)
    ratio = 1 / np.sqrt(np.asarray(state.nu["w"]) / (1 - 0.99**51))  # u without the division; it is r as well
    np.testing.assert_allclose(u["w"], (ratio + 0.5) / ratio, rtol=1e-3)
    np.testing.assert_allclose(u["bias"], 1.0, rtol=1e-3)
