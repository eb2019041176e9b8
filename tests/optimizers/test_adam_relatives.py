"""ADOPT, ACProp, AdEMAMix and MADGRAD at their edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

PARAMS = jnp.asarray([1.0, -2.0])


def test_the_first_step_of_adopt_only_looks():
    for tx in (gradtx.adopt(0.1), gradtx.adopt(0.1, nesterov=True, use_clipping=False)):
        updates, state = tx.update(PARAMS, tx.init(PARAMS))
        np.testing.assert_array_equal(updates, 0)
        np.testing.assert_array_equal(state[0].nu, PARAMS**2)


def test_the_second_moment_of_ademamix_is_not_kept_in_the_dtype_of_the_first():
    state = gradtx.scale_by_ademamix(mu_dtype=jnp.bfloat16).init(PARAMS)
    assert (state.m1.dtype, state.m2.dtype, state.nu.dtype) == (jnp.bfloat16, jnp.bfloat16, jnp.float32)


@pytest.mark.parametrize("name", ["adopt", "ademamix"])
def test_an_integer_moment_is_refused(name):
    with pytest.raises(TypeError, match="a moment needs a floating-point dtype, got int8"):
        getattr(gradtx, name)(1e-3, mu_dtype="int8")


def test_madgrad_weighs_gradients_in_the_precision_of_the_parameters():
    with jax.enable_x64(True):
        params = jnp.zeros(1, jnp.float64)
        tx = gradtx.scale_by_madgrad(0.1, eps=0.0)
        _, state = tx.update(jnp.ones(1, jnp.float64), tx.init(params), params)
        np.testing.assert_array_equal(state.s, 0.1)


@pytest.mark.parametrize("name", ["acprop", "adopt", "ademamix", "simplified_ademamix", "madgrad"])
def test_learning_rates_may_be_mapped_over(name):
    def first_two(rate):
        tx = getattr(gradtx, name)(rate)
        _, state = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
        return tx.update(PARAMS, state, PARAMS)[0]

    rates = jnp.asarray([0.1, 0.2])
    updates = jax.vmap(first_two)(rates)
    np.testing.assert_allclose(updates, jnp.stack([first_two(float(rate)) for rate in rates]), rtol=1e-5)
