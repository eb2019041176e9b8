"""Muon moves as in Optax."""

from typing import Any, cast

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import trajectories

import gradtx

pytestmark = pytest.mark.usefixtures("x64")


def schedule(count):
    return 0.1 / (1 + 0.5 * jnp.asarray(count, float))


def start():
    random = np.random.default_rng(0)
    shapes = {"tall": (6, 3), "wide": (2, 5), "vector": (4,), "scalar": (), "stack": (2, 3, 4), "heads": (4, 2, 3)}
    return {name: jnp.asarray(random.normal(size=shape)) for name, shape in shapes.items()}


def numbers(library):
    kind = getattr(library, "MuonDimensionNumbers", None) or library.contrib.MuonDimensionNumbers
    return {
        "tall": kind(),
        "wide": kind(1, 0),
        "vector": None,
        "scalar": None,
        "stack": kind(1, 2),
        "heads": kind((0,), (1, 2)),
    }


OPTIONS = [
    {},
    {"nesterov": False, "beta": 0.8, "weight_decay": 0.1},
    {"adaptive": True},
    {"preconditioning": "spectral"},
    {"preconditioning": "aol", "ns_steps": 3},
    {"preconditioning": "schatten"},
    {"consistent_rms": 0.2, "adam_learning_rate": 0.01, "adam_weight_decay": 0.1},
    {"ns_coeffs": "dion"},
    {"ns_coeffs": ((3.0, -3.2, 1.2), (2.0, -1.5, 0.5)), "ns_steps": 2},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("learning_rate", [0.1, schedule])
def test_muon_moves_as_in_optax(learning_rate, options):
    trajectories.assert_moves_as_in_optax(
        lambda: gradtx.muon(learning_rate, **options), lambda: optax.contrib.muon(learning_rate, **options), start(), rtol=1e-9
    )


@pytest.mark.parametrize("as_function", [False, True])
def test_matrices_by_dimension_numbers_move_as_in_optax(as_function):
    def chosen(library):
        return (lambda params: numbers(library)) if as_function else numbers(library)

    trajectories.assert_moves_as_in_optax(
        lambda: gradtx.muon(0.1, muon_weight_dimension_numbers=chosen(gradtx)),
        lambda: optax.contrib.muon(0.1, muon_weight_dimension_numbers=chosen(optax)),
        start(),
        rtol=1e-9,
    )


def test_dimension_numbers_may_end_above_the_leaves_and_the_state_is_optaxs():
    layers = {"a": jnp.ones((3, 2)), "b": jnp.ones((2, 4))}
    params = {"adam": layers, "muon": layers, "mixed": {**layers, "c": jnp.ones(3)}}

    def made(kind, muon):
        given = {"adam": None, "muon": kind(), "mixed": {"a": kind(1, 0), "b": None, "c": None}}
        return muon(0.1, muon_weight_dimension_numbers=given)

    mine, their = made(gradtx.MuonDimensionNumbers, gradtx.muon), made(optax.contrib.MuonDimensionNumbers, optax.contrib.muon)
    paths = [
        [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(tx.init(params), is_leaf=is_masked)]
        for tx in (mine, their)
    ]
    assert paths[0] == paths[1]
    trajectories.assert_moves_as_in_optax(lambda: mine, lambda: their, params, rtol=1e-9)


def is_masked(node):
    return isinstance(node, gradtx.MaskedNode | optax.MaskedNode)


def test_singular_values_are_brought_near_1():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8, 5)))
    coefficients = jnp.tile(jnp.asarray([1.5, -0.5, 0.0]), (40, 1))  # the classical iteration, which converges
    for preconditioning in gradtx.linalg.PRECONDITIONINGS:
        u = gradtx.linalg.orthogonalize(x, coefficients, preconditioning, eps=0.0)
        chex.assert_trees_all_close(jnp.linalg.svd(u, compute_uv=False), jnp.ones((3, 5)), rtol=1e-6)
        if preconditioning != "aol":
            left, _, right = jnp.linalg.svd(x, full_matrices=False)
            chex.assert_trees_all_close(u, left @ right, atol=1e-6)


@pytest.mark.parametrize("preconditioning", gradtx.linalg.PRECONDITIONINGS)
@pytest.mark.parametrize("scale", [1e-6, 1e-30, 1e30])
def test_the_scale_of_a_gradient_does_not_matter(scale, preconditioning):
    # Optax divides by 1e-4 at least for "aol" and "schatten", and its steps vanish with the gradient.
    g = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6)), jnp.float32)
    tx = gradtx.scale_by_muon(preconditioning=preconditioning, eps=0.0)
    chex.assert_trees_all_close(tx.update(scale * g, tx.init(g))[0], tx.update(g, tx.init(g))[0], atol=1e-3)
    tx = gradtx.scale_by_muon(preconditioning=preconditioning)
    tiny = 1e-6 * g
    chex.assert_trees_all_close(tx.update(tiny, tx.init(g))[0], tx.update(g, tx.init(g))[0], atol=5e-2)


@pytest.mark.parametrize("options", [{}, {"adaptive": True}, {"preconditioning": "aol"}], ids=str)
def test_matrices_of_a_batch_do_not_know_of_each_other(options):
    # Optax multiplies every matrix of an adaptive batch by the sum over all of them.
    g = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 5)))
    numbers = gradtx.MuonDimensionNumbers(1, 2)
    together = gradtx.scale_by_muon(weight_dimension_numbers=numbers, **options)
    alone = gradtx.scale_by_muon(**options)
    expected = jnp.stack([alone.update(x, alone.init(x))[0] for x in g])
    chex.assert_trees_all_close(together.update(g, together.init(g))[0], expected, rtol=1e-9)


def test_rows_of_coefficients_are_iterations():
    # Optax takes three rows for five steps and runs three, and refuses them for two.
    rows = ((3.0, -3.2, 1.2), (2.0, -1.5, 0.5), (1.5, -0.5, 0.0))
    g = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
    updates = [tx.update(g, tx.init(g))[0] for tx in (gradtx.scale_by_muon(rows, ns_steps=k) for k in (2, 3, 5))]
    chex.assert_trees_all_equal(*updates)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gradtx.scale_by_muon(cast("Any", "fast")), 'ns_coeffs must be "standard", "muon", "dion", .*, got \'fast\''),
        (lambda: gradtx.scale_by_muon(jnp.ones(2)), r"must have the shape \(3,\) or \(iterations, 3\), got \(2,\)"),
        (
            lambda: gradtx.muon(0.1, preconditioning=cast("Any", "none")),
            'preconditioning must be "frobenius", "spectral", .*, got',
        ),
        (lambda: moved(gradtx.scale_by_muon()), r"scale_by_muon: \['v'\] has the shape \(3,\), which has no axes as in Muon"),
        (
            lambda: moved(gradtx.scale_by_muon(weight_dimension_numbers={"w": None})),
            "scale_by_muon: the dimension numbers are for a tree",
        ),
    ],
)
def test_what_is_no_matrix_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def moved(tx):
    params = {"v": jnp.ones(3)}
    return tx.update(params, tx.init(params))


def test_convolutions_are_matrices_by_dimension_numbers():
    params = {"kernel": jnp.ones((3, 3, 4, 8)), "bias": jnp.ones(8)}
    numbers = {"kernel": gradtx.MuonDimensionNumbers((0, 1, 2), 3), "bias": None}
    tx = gradtx.muon(0.1, muon_weight_dimension_numbers=numbers)
    updates, _ = jax.jit(tx.update)(params, tx.init(params), params)
    chex.assert_trees_all_equal_shapes(updates, params)
