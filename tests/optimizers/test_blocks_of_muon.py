"""Blocks of a matrix are matrices of their own: fused projections, and the heads of attention."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

pytestmark = pytest.mark.usefixtures("x64")


def gradients(step=0):
    random = np.random.default_rng(step)
    shapes = {"qkv": (6, 15), "heads": (6, 8), "grouped": (6, 9), "up": (6, 12), "b": (4,)}
    return {"layer": {name: jnp.asarray(random.normal(size=shape)) for name, shape in shapes.items()}}


SPLIT = {"**/qkv": 3, "**/heads": 4, "**/grouped": (5, 2, 2)}


def apart(tree):
    """The same with the blocks as leaves."""
    widths = {"qkv": (5, 5, 5), "heads": (2, 2, 2, 2), "grouped": (5, 2, 2)}
    cut = {name: jnp.split(tree["layer"][name], np.cumsum(each)[:-1], axis=1) for name, each in widths.items()}
    return {"layer": tree["layer"] | cut}


OPTIONS = [
    (gradtx.muon, {}),
    (gradtx.muon, {"adaptive": True, "preconditioning": "aol", "weight_decay": 0.1}),
    (gradtx.muon, {"shape_factor": "scion", "ns_coeffs": "polar_express"}),
    (gradtx.muon, {"consistent_rms": 0.2}),
    (gradtx.normuon, {"shape_factor": "scion"}),
    (gradtx.normuon, {"weight_decay": 0.1}),
]


@pytest.mark.parametrize(("make", "options"), OPTIONS, ids=lambda each: getattr(each, "__name__", str(each)))
def test_blocks_move_as_separate_matrices(make, options):
    tx, separate = make(0.1, split=SPLIT, **options), make(0.1, **options)
    params = gradients(100)
    updates, whole = params, make(0.1, **options)
    state, separate_state = tx.init(params), separate.init(apart(params))
    for step in range(3):
        updates, state = jax.jit(tx.update)(gradients(step), state, params)
        expected, separate_state = jax.jit(separate.update)(apart(gradients(step)), separate_state, apart(params))
        chex.assert_trees_all_close(apart(updates), expected, rtol=1e-9)
    at_once, _ = whole.update(params, whole.init(params), params)
    assert not np.allclose(at_once["layer"]["qkv"], updates["layer"]["qkv"])


def test_the_state_is_that_of_whole_matrices():
    params = gradients()
    shapes = lambda tx: jax.eval_shape(tx.init, params)  # noqa: E731
    for make in (gradtx.muon, gradtx.normuon):
        chex.assert_trees_all_equal_shapes_and_dtypes(shapes(make(0.1, split=SPLIT)), shapes(make(0.1)))


CUBES = {
    "PyTorch's": (gradtx.MuonDimensionNumbers(1, 0), lambda x: x.T, lambda u: u.T),
    "a stack": (gradtx.MuonDimensionNumbers(1, 2), lambda x: jnp.stack([x, x]), lambda u: u[1]),
    "outputs of two axes": (gradtx.MuonDimensionNumbers(0, (1, 2)), lambda x: x.reshape(6, 3, 5), lambda u: u.reshape(6, 15)),
}


@pytest.mark.parametrize("axes", CUBES)
@pytest.mark.parametrize("make", [gradtx.muon, gradtx.normuon])
@pytest.mark.parametrize("blocks", [3, (5, 8, 2)])
def test_outputs_are_those_of_the_dimension_numbers(make, axes, blocks):
    number, laid_out, back = CUBES[axes]
    g = gradients()["layer"]["qkv"]
    plain, tx = (make(0.1, split={"": blocks}, muon_weight_dimension_numbers=each) for each in (None, number))
    u, expected = (tx.update(x, tx.init(x), x)[0] for tx, x in ((tx, laid_out(g)), (plain, g)))
    chex.assert_trees_all_close(back(u), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"**/qkv": 4}, "split: the 15 outputs of 'layer/qkv' are not 4 equal blocks"),
        ({"**/qkv": (5, 5)}, "split: 'layer/qkv' has 15 outputs, not the 10 of (5, 5)"),
        ({"qkv": 3}, "split: 'qkv' matches nothing; did you mean '**/qkv'?"),
        ({"**/b": 2}, "split: '**/b' matches nothing"),
        ({"**/qkv": 0}, "split of '**/qkv' must be a number of blocks, or the size of each, got 0"),
        ({"**/qkv": ()}, "split of '**/qkv' must be a number of blocks, or the size of each, got ()"),
    ],
)
@pytest.mark.parametrize("make", [gradtx.muon, gradtx.normuon])
def test_blocks_that_do_not_fit_are_refused(make, split, message):
    g = gradients()
    with pytest.raises(ValueError, match=re.escape(message)):
        (tx := make(0.1, split=split)).update(g, tx.init(g), g)


def test_means_along_the_outputs_are_not_of_blocks():
    with pytest.raises(ValueError, match="blocks of outputs, as split has them, have no means of their own along axis=-1"):
        gradtx.normuon(0.1, axis=-1, split=SPLIT)


def test_a_split_is_a_value():
    tx = gradtx.muon(0.1, split=SPLIT)
    assert tx == gradtx.muon(0.1, split=dict(SPLIT))
    assert "split=" in repr(tx)
    assert gradtx.from_config(gradtx.to_config(tx)) == tx
