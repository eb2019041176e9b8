"""AdaMuon moves as its authors' does."""

import chex
import golden_runs
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

pytestmark = pytest.mark.usefixtures("x64")

NUMBERS = gradtx.MuonDimensionNumbers(1, 0)  # the authors' matrices are (outputs, inputs)


def test_adamuon_moves_as_its_authors():
    tx = gradtx.adamuon(2**-6, 0.92, weight_decay=0.1, muon_weight_dimension_numbers=dict.fromkeys("sw", NUMBERS))
    golden_runs.assert_moves_as("adamuon", tx)


def test_each_matrix_has_the_root_mean_square():
    u = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4)) * 1e3)
    tx = gradtx.normalize_by_matrix_rms(0.1, 0.5, weight_dimension_numbers=gradtx.MuonDimensionNumbers(1, 2))
    updates, _ = jax.jit(tx.update)(u, tx.init(u))
    expected = np.stack([0.1 * np.sqrt(12) * x / (np.linalg.norm(x) + 0.5) for x in np.asarray(u)])
    chex.assert_trees_all_close(updates, expected, rtol=1e-12)


def test_signs_are_orthogonalized():
    g = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)))
    signs, plain = gradtx.scale_by_muon(eps=0.0, sign=True), gradtx.scale_by_muon(eps=0.0)
    chex.assert_trees_all_close(signs.update(g, signs.init(g))[0], plain.update(jnp.sign(g), plain.init(g))[0], rtol=1e-12)
