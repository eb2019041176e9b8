"""LaProp moves as in the code of its authors, whose decay comes after the step and is not multiplied by the rate."""

import jax.numpy as jnp
import pytest
from golden_runs import assert_moves_as

import gradtx


def rising(count):
    return 2**-6 * jnp.minimum(1, (count + 1) / 4)  # exact in float32


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("entry", "rate"), [("laprop", 2**-6), ("laprop.scheduled", rising)])
def test_it_moves_as_its_authors_code(entry, rate):
    assert_moves_as(entry, gradtx.chain(gradtx.laprop(rate, 0.9, 0.97), gradtx.decay_after_step(1.0, 0.002)))
