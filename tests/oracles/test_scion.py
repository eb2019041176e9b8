"""Scion moves as its authors' does."""

import golden_runs
import pytest

import gradtx

RATE = 2.0**-6
NORMS = {
    "spectral": "spectral",
    "sign": "sign",
    "col": "column",
    "row": "row",
    "bias": "bias",
    "conv": "convolution",
}


def scion(norm, **options):
    """The authors' matrices are (outputs, inputs), and so are the first axes of their convolutions."""
    numbers = gradtx.MuonDimensionNumbers(1, 0)
    return gradtx.scion(RATE, norm, 0.15, eps=1e-8, weight_dimension_numbers=numbers, **options)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NORMS)
def test_it_moves_as_the_authors_code_does(name):
    golden_runs.assert_moves_as(f"scion.{name}", scion((NORMS[name], 3.0)))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["spectral", "sign"])
def test_parameters_need_not_shrink(name):
    golden_runs.assert_moves_as(f"scion.{name}.unconstrained", scion((NORMS[name], 3.0), unconstrained=True))
