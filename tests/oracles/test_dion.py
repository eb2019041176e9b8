"""Dion against the trajectory of its authors' code."""

import golden_runs
import jax.numpy as jnp
import pytest

import gradtx

RATE, DECAY = 2.0**-6, 0.05
TORCHS_AXES = gradtx.MuonDimensionNumbers(1, 0)


def from_their_factors(tx):
    """A `scale_by_dion` that starts from the random factors of the authors' run."""

    def init(params):
        factors = {leaf: jnp.asarray(golden_runs.arrays()[f"dion.Q0/{leaf}"]) for leaf in params}
        return tx.init(params)._replace(factors=factors)

    return gradtx.GradientTransformation(init, tx.update)


@pytest.mark.usefixtures("x64")
def test_it_moves_as_its_authors_code_does():
    direction = gradtx.scale_by_dion(2, 0.9, weight_dimension_numbers=TORCHS_AXES)
    tx = gradtx.chain(
        from_their_factors(direction),
        gradtx.scale_by_matrix_shape(TORCHS_AXES, shape_factor="scion"),
        gradtx.add_decayed_weights(DECAY),
        gradtx.scale_by_learning_rate(RATE),
    )
    golden_runs.assert_moves_as("dion", tx)
