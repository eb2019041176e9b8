"""`scale_by_kron`: gradients of any size, and which factors are diagonal."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

SHAPES = {"scalar": (), "vector": (5,), "matrix": (6, 4), "kernel": (3, 3, 2, 4), "empty": (0, 3)}


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e30])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradients_of_any_size_leave_everything_finite(size, dtype):
    params = {name: jnp.ones(shape, dtype) for name, shape in SHAPES.items()}
    tx = gradtx.scale_by_kron(balance_probability=0.1)
    state, update, updates = tx.init(params), jax.jit(tx.update), params
    for step in range(200):
        draw = np.random.default_rng(step).normal
        gradients = {name: jnp.asarray(size * draw(size=shape), dtype) for name, shape in SHAPES.items()}
        updates, state = update(gradients, state, params)
    chex.assert_tree_all_finite((updates, state))


def test_factors_of_long_axes_and_of_vectors_are_diagonals():
    params = {name: jnp.ones(shape) for name, shape in SHAPES.items()}
    factors = gradtx.scale_by_kron(max_size=5).init(params).factors
    assert [q.shape for q in factors["matrix"]] == [(6,), (4, 4)]
    assert [q.shape for q in factors["vector"]] == [(5,)]
    assert [q.shape for q in factors["scalar"]] == [(1,)]
