"""The factors by which updates of matrices are multiplied."""

from typing import Any, cast

import chex
import jax.numpy as jnp
import pytest

import gradtx

# Of matrices of 4 inputs and 9 outputs, and of 9 inputs and 4 outputs.
FACTORS = {"jordan": (1.5, 1.0), "scion": (3 / 2, 2 / 3), "moonlight": (0.6, 0.6), "unit_rms": (3.0, 3.0)}


@pytest.mark.parametrize("name", FACTORS)
def test_each_convention_has_its_factor(name):
    tx = gradtx.scale_by_matrix_shape(shape_factor=name)
    g = [jnp.ones((4, 9)), jnp.ones((9, 4))]
    updates, _ = tx.update(g, tx.init(g))
    chex.assert_trees_all_close(updates, [factor * x for factor, x in zip(FACTORS[name], g, strict=True)], rtol=1e-6)


@pytest.mark.parametrize("make", [gradtx.muon, gradtx.normuon])
def test_optimizers_take_the_factor_by_name(make):
    g = jnp.asarray([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 1.0]])
    by_jordan, by_scion = (make(0.1, shape_factor=name) for name in ("jordan", "scion"))
    expected = (3 / 4) ** 0.5 * by_jordan.update(g, by_jordan.init(g), g)[0]
    chex.assert_trees_all_close(by_scion.update(g, by_scion.init(g), g)[0], expected, rtol=1e-5)


def test_what_is_no_matrix_is_refused():
    tx = gradtx.scale_by_matrix_shape({"v": None})
    with pytest.raises(ValueError, match=r"scale_by_matrix_shape: \['v'\] has no dimension numbers, so it is not a matrix"):
        tx.update({"v": jnp.ones(3)}, tx.init({"v": jnp.ones(3)}))


def test_unknown_words_and_two_factors_are_refused():
    with pytest.raises(ValueError, match="scale_by_matrix_shape: there is consistent_rms and shape_factor='scion'; give one"):
        gradtx.scale_by_matrix_shape(consistent_rms=0.2, shape_factor="scion")
    with pytest.raises(ValueError, match=r"shape_factor must be \"jordan\", \"scion\", .*, got 'keras'"):
        gradtx.scale_by_matrix_shape(shape_factor=cast("Any", "keras"))
