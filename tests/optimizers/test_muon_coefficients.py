"""Presets of coefficients: what they do to singular values, and that they are the iterations of their authors."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

pytestmark = pytest.mark.usefixtures("x64")


def with_singular_values(values, columns=160):
    random = np.random.default_rng(0)
    left, _ = np.linalg.qr(random.normal(size=(len(values), len(values))))
    right, _ = np.linalg.qr(random.normal(size=(columns, len(values))))
    return jnp.asarray(left * values @ right.T)


def orthogonalized(g, preset, steps=5, eps=0.0):
    tx = gradtx.scale_by_muon(preset, steps, 0.0, eps, nesterov=False)
    return jax.jit(tx.update)(g, tx.init(g))[0]


# The smallest and the largest singular value after five iterations, of matrices of condition 10 and 1000.
TABLE = {
    "standard": [(0.682, 1.134), (0.155, 1.202)],
    "muon": [(0.682, 1.134), (0.155, 1.202)],
    "dion": [(0.978, 1.032), (0.158, 1.145)],
    "quintic": [(0.978, 1.032), (0.158, 1.145)],
    "polar_express": [(0.859, 1.141), (0.307, 1.141)],
}


@pytest.mark.parametrize("preset", TABLE)
def test_five_iterations_bring_singular_values_near_1(preset):
    for condition, (low, high) in zip((10, 1000), TABLE[preset], strict=True):
        g = with_singular_values(np.logspace(-np.log10(condition), 0, 128))
        values = jnp.linalg.svd(orthogonalized(g, preset), compute_uv=False)
        chex.assert_trees_all_close((jnp.min(values), jnp.max(values)), (low, high), atol=1e-3)


def test_polar_express_is_what_modded_nanogpt_computes():
    x = g = np.random.default_rng(0).normal(size=(5, 8)) * 1e-5
    rows = [  # rounded to 12 digits
        (8.15655452490, -22.4832929256, 15.8787699152),
        (4.04292993517, -2.80891746591, 0.500017845105),
        (3.89166780229, -2.77248415322, 0.506064817850),
        (3.28575365776, -2.36812949334, 0.464490242330),
        (2.34654132586, -1.70978283827, 0.423235511693),
    ]
    x = x / (1.02 * np.linalg.norm(x) + 1e-6)
    for a, b, c in rows:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    chex.assert_trees_all_close(orthogonalized(jnp.asarray(g), "polar_express", eps=1e-6 / 1.02), x, atol=1e-8)


@pytest.mark.parametrize("preset", ["dion", "polar_express"])
def test_rows_of_a_preset_are_taken_from_the_front_and_further_ones_converge(preset):
    rows = gradtx.scale_by_muon(preset).init(jnp.ones((2, 2))).ns_coeffs
    few, many = (gradtx.scale_by_muon(preset, steps).init(jnp.ones((2, 2))).ns_coeffs for steps in (3, 8))
    chex.assert_trees_all_equal(few, rows[:3])
    chex.assert_trees_all_equal(many, jnp.concatenate([rows, jnp.tile(jnp.asarray([1.875, -1.25, 0.375]), (3, 1))]))
    g = with_singular_values(np.logspace(-1, 0, 16))
    values = jnp.linalg.svd(orthogonalized(g, preset, 9), compute_uv=False)
    chex.assert_trees_all_close(values, jnp.ones(16), atol=1e-4)
