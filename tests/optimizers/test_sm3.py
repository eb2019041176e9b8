"""SM3: memory, scalars, a decay that is traced."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import tree


def test_a_matrix_keeps_a_number_for_each_row_and_column():
    assert tree.size(gradtx.scale_by_sm3().init(jnp.zeros((300, 200))).mu) == 500


def test_a_scalar_keeps_its_own_sum():
    tx = gradtx.scale_by_sm3(b1=0.0, eps=0.0)
    state = tx.init(jnp.zeros(()))
    for g, expected in ((3.0, 1.0), (4.0, 0.8), (0.0, 0.0)):
        u, state = tx.update(jnp.asarray(g), state)
        np.testing.assert_allclose(u, expected, rtol=1e-6)


@pytest.mark.parametrize("b2", [1.0, 0.9])
def test_a_traced_decay_of_1_means_a_sum_too(b2):
    params = {"w": jnp.arange(1.0, 13.0).reshape(3, 4)}
    plain, injected = gradtx.scale_by_sm3(b2=b2), gradtx.inject_hyperparams(gradtx.scale_by_sm3)(b2=b2)
    state, injected_state = plain.init(params), jax.jit(injected.init)(params)
    for _ in range(3):
        expected, state = plain.update(params, state)
        updates, injected_state = injected.update(params, injected_state)
        chex.assert_trees_all_close(updates, expected, rtol=1e-5)
