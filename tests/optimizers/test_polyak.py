"""Polyak's step: exact on a line, finite at the minimum, of numbers whose squares overflow."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx


def updated(tx, g, value):
    return tx.update(g, tx.init(g), **({} if value is None else {"value": value}))[0]


def test_the_step_reaches_the_minimum_of_a_linear_function():
    g = jnp.asarray([3.0, -4.0])
    u = updated(gradtx.scale_by_polyak(f_min=1.0, max_learning_rate=100.0), g, 11.0)
    np.testing.assert_allclose(jnp.vdot(g, u), 10.0, rtol=1e-6)


def test_the_step_has_a_largest_rate_and_eps_in_its_denominator():
    g = jnp.asarray([0.5])
    np.testing.assert_allclose(updated(gradtx.scale_by_polyak(), g, 10.0), g)
    np.testing.assert_allclose(updated(gradtx.scale_by_polyak(eps=0.75), g, 0.5), 0.5 * g, rtol=1e-6)


@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize("value", [0.0, 1.0, float("inf")])
def test_a_gradient_of_zeros_is_no_step(value, eps):
    g = {"w": jnp.zeros(3), "b": jnp.zeros(())}
    chex.assert_trees_all_equal(updated(gradtx.polyak_sgd(eps=eps), g, value), g)


@pytest.mark.parametrize(("variant", "sign"), [("sps", -1.0), ("sps+", 0.0)])
def test_below_the_least_value_only_one_variant_turns_back(variant, sign):
    u = updated(gradtx.scale_by_polyak(variant=variant), jnp.asarray([2.0]), -1.0)
    assert jnp.sign(u[0]) == sign


def test_steps_do_not_depend_on_whether_the_square_of_the_norm_overflows_or_vanishes():
    huge = updated(gradtx.scale_by_polyak(max_learning_rate=1e9), jnp.asarray([3e20, 4e20]), 1e25)
    np.testing.assert_allclose(huge, [1.2e4, 1.6e4], rtol=1e-5)
    tiny = updated(gradtx.scale_by_polyak(), jnp.asarray([3e-25, 4e-25]), 1.0)
    np.testing.assert_allclose(tiny, [3e-25, 4e-25], rtol=1e-5)


def test_the_derivative_through_a_step_at_the_minimum_is_finite():
    tx = gradtx.scale_by_polyak(eps=0.1)
    slope = jax.grad(lambda g: tx.update(g, tx.init(g), value=1.0)[0].sum())(jnp.zeros(3))
    chex.assert_tree_all_finite(slope)


def test_the_value_is_a_scalar_that_must_be_given():
    with pytest.raises(TypeError, match="reads 'value'"):
        updated(gradtx.polyak_sgd(), jnp.ones(2), None)
    with pytest.raises(ValueError, match="scale_by_polyak: value must be a scalar"):
        updated(gradtx.polyak_sgd(), jnp.ones(2), jnp.ones(2))


def test_another_variant_is_refused():
    with pytest.raises(ValueError, match='variant must be "sps" or "sps\\+", got \'alig\''):
        gradtx.polyak_sgd(variant="alig")  # pyright: ignore[reportArgumentType]
