"""NorMuon moves as its authors' does."""

import chex
import golden_runs
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

pytestmark = pytest.mark.usefixtures("x64")

# The authors' matrices are (outputs, inputs); the first axis of k counts matrices.
NUMBERS = {
    "s": gradtx.MuonDimensionNumbers(1, 0),
    "w": gradtx.MuonDimensionNumbers(1, 0),
    "k": gradtx.MuonDimensionNumbers(2, 1),
}


def test_normuon_moves_as_its_authors():
    tx = gradtx.normuon(2**-6, 0.92, 0.9, weight_decay=0.1, muon_weight_dimension_numbers=NUMBERS)
    golden_runs.assert_moves_as("normuon", tx)


def test_rows_of_the_rule_are_those_of_the_paper():
    random = np.random.default_rng(0)
    tx = gradtx.scale_by_row_rms(0.9, 1e-3, axis=-1)  # a mean for each input
    state, v = tx.init(jnp.zeros((3, 5))), np.zeros(3)
    for u in random.normal(size=(4, 3, 5)):
        updates, state = tx.update(jnp.asarray(u), state)
        v = 0.9 * v + 0.1 * np.mean(u**2, axis=1)
        scaled = u / (np.sqrt(v)[:, None] + 1e-3)
        chex.assert_trees_all_close(updates, scaled * np.linalg.norm(u) / (np.linalg.norm(scaled) + 1e-3), rtol=1e-12)
    chex.assert_trees_all_close(state.nu, v, rtol=1e-12)
