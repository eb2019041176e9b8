"""Steps on spheres of parameters, and braked ones, are those of NVIDIA's Emerging Optimizers."""

import jax
import numpy as np
import pytest
from golden_runs import arrays, assert_moves_as

import gradtx

pytestmark = pytest.mark.usefixtures("x64")
RATE = 2**-6


def test_adamh_moves_as_the_hyperball_around_adam_and_remembers_the_first_norms():
    states = assert_moves_as("hyperball_adam", gradtx.adamh(RATE, 0.9, 0.97))
    norms = states[-1][-1].norms
    for leaf, norm in norms.items():
        np.testing.assert_allclose(norm, np.linalg.norm(arrays()[f"params0/{leaf}"]), rtol=1e-15)


@pytest.mark.parametrize(
    ("entry", "outward", "inward"), [("radial_brake_adam", 0.5, 1.0), ("radial_brake_adam.both", 0.25, 0.625)]
)
def test_a_brake_moves_as_the_radial_brake(entry, outward, inward):
    assert_moves_as(entry, gradtx.chain(gradtx.adam(RATE, 0.9, 0.97), gradtx.keep_norm(outward, inward)))


def test_muonh_turns_matrices_by_the_angle_of_its_rate_in_the_direction_of_muon():
    p, g = arrays()["params0/w"], arrays()["grads/w"][0]
    direction = gradtx.scale_by_muon()
    u, _ = direction.update(g, direction.init(p))
    moved = p - RATE * np.linalg.norm(p) * u / np.linalg.norm(u)
    tx = gradtx.muonh(RATE)
    updates, _ = jax.jit(tx.update)(g, tx.init(p), p)
    np.testing.assert_allclose(p + updates, np.linalg.norm(p) * moved / np.linalg.norm(moved), rtol=0, atol=1e-12)
