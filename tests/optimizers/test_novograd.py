"""NovoGrad: one second moment for each array."""

import jax.numpy as jnp
import numpy as np
import pytest

import gradtx


def test_the_second_moment_is_one_number_for_each_array():
    nu = gradtx.scale_by_novograd().init({"w": jnp.ones((3, 4)), "z": jnp.ones(2, complex)}).nu
    assert {name: (v.shape, v.dtype) for name, v in nu.items()} == {"w": ((), jnp.float32), "z": ((), jnp.float32)}


@pytest.mark.parametrize("magnitude", [1e19, 1e30])
def test_an_array_moves_again_after_a_gradient_whose_norm_overflows(magnitude):
    tx = gradtx.scale_by_novograd(b1=0.0)
    g = jnp.ones((6, 5))
    updates, state = tx.update(magnitude * g, tx.init(g))
    for _ in range(100):
        updates, state = tx.update(g, state)
    np.testing.assert_allclose(updates, 1 / np.sqrt(30), rtol=1e-5)


def test_the_parameters_are_read_for_their_decay_alone():
    g = jnp.ones(3)
    without, decaying = gradtx.scale_by_novograd(), gradtx.scale_by_novograd(weight_decay=0.1)
    without.update(g, without.init(g))
    with pytest.raises(ValueError, match="scale_by_novograd reads the parameters"):
        decaying.update(g, decaying.init(g))
