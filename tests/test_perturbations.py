"""Perturbed functions have the values and the derivatives of smoothed ones."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

from gradtx import perturbations

INPUTS = {"scores": jnp.asarray([1.0, 2.0, 1.5]), "point": jnp.ones(2)}
KEY = jax.random.key(1)


def piecewise_constant_and_smooth(inputs):
    """What has no useful derivative of its own, beside what has one."""
    return {"winner": jax.nn.one_hot(jnp.argmax(inputs["scores"]), 3), "norm": jnp.sum(inputs["point"] ** 2)}


@pytest.mark.parametrize("use_baseline", [True, False])
@pytest.mark.parametrize("noise", ["Gumbel", "Normal"])
def test_values_and_derivatives_are_optaxs(noise, use_baseline):
    def results(library):
        fun = library.make_perturbed_fun(piecewise_constant_and_smooth, 200, 0.5, getattr(library, noise)(), use_baseline)
        second = jax.hessian(lambda point: fun(KEY, {**INPUTS, "point": point})["norm"])
        return fun(KEY, INPUTS), *jax.jit(lambda: (jax.jacobian(fun, argnums=1)(KEY, INPUTS), second(INPUTS["point"])))()

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        chex.assert_trees_all_close(results(perturbations), results(optax.perturbations), rtol=1e-4, atol=1e-5)


def test_the_perturbed_maximum_is_drawn_from_the_softmax():
    fun = perturbations.make_perturbed_fun(lambda x: jax.nn.one_hot(jnp.argmax(x), 3), 20_000, 1.0)
    scores = jnp.asarray([1.0, 2.0, 1.5])
    chex.assert_trees_all_close(jax.jit(fun)(KEY, scores), jax.nn.softmax(scores), atol=0.02)
    expected = jax.jacobian(jax.nn.softmax)(scores)
    chex.assert_trees_all_close(jax.jit(jax.jacobian(fun, argnums=1))(KEY, scores), expected, atol=0.03)


def test_the_function_is_not_asked_for_its_derivative():
    winner = jax.custom_jvp(piecewise_constant_and_smooth)
    winner.defjvp(lambda primals, tangents: pytest.fail("it was"))
    jax.jacobian(perturbations.make_perturbed_fun(winner, 3), argnums=1)(KEY, INPUTS)


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
        perturbations.make_perturbed_fun(jnp.sum, num_samples=0)


@pytest.mark.parametrize(
    ("loc", "log_scale", "points"),
    [
        ([1.0, -2.0], [0.5, -0.3], [[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]]),
        ([[1.0], [-2.0]], [0.5, -0.3, 0.1], jnp.arange(12.0).reshape(2, 2, 3)),
        (1.0, 0.5, [0.1, 0.2]),
    ],
    ids=["vector", "broadcast", "number"],
)
def test_a_normal_distribution_is_optaxs(loc, log_scale, points):
    loc, log_scale, points = (jnp.asarray(each, jnp.float32) for each in (loc, log_scale, points))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = optax.multi_normal(loc, log_scale)
        expected = theirs.log_prob(points), theirs.sample((3,), KEY), theirs.params, theirs.log_scale
        ours = perturbations.multi_normal(loc, log_scale)
        chex.assert_trees_all_close(
            (ours.log_prob(points), ours.sample((3,), KEY), ours.params, ours.log_scale), expected, rtol=1e-5
        )


def test_a_normal_distribution_of_shapes_that_do_not_broadcast_is_refused():
    with pytest.raises(ValueError, match="multi_normal: loc and log_scale do not broadcast"):
        perturbations.multi_normal(jnp.zeros(2), jnp.zeros(3))
