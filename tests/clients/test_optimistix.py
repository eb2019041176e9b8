"""Optimistix minimizes with gradtx's optimizers; it rebuilds closures on the way."""

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx

optimistix = pytest.importorskip("optimistix")
OPTIMIZERS = {
    "adam": lambda rate: gradtx.adam(rate),
    "a chain with a schedule": lambda rate: gradtx.chain(
        gradtx.clip_by_global_norm(1.0), gradtx.sgd(gradtx.linear_schedule(rate, 0.05, 30), momentum=0.5)
    ),
    "one of the user's": lambda rate: gradtx.chain(
        gradtx.scale_by_adam(),
        gradtx.GradientTransformation(gradtx.init_empty_state, lambda g, s, p=None: (g, s)),
        gradtx.scale(-rate),
    ),
    "a schedule of the user's": lambda rate: gradtx.adam(lambda count: rate / (1 + 0.01 * count)),
    "L-BFGS": lambda rate: gradtx.lbfgs(),
}
TARGET = jnp.asarray([1.0, -2.0, 0.5])


@pytest.mark.parametrize("label", OPTIMIZERS)
def test_optimistix_finds_a_minimum(label):
    def fun(y, args):
        return jnp.sum((y - args) ** 2)

    solver = optimistix.OptaxMinimiser(OPTIMIZERS[label](0.1), rtol=1e-6, atol=1e-6)
    solution = optimistix.minimise(fun, solver, jnp.zeros(3), args=TARGET, max_steps=1000)
    chex.assert_trees_all_close(solution.value, TARGET, atol=1e-3)


@pytest.mark.parametrize("label", OPTIMIZERS)
def test_another_learning_rate_does_not_trace_again(label):
    traces = []

    def fun(y, args):
        traces.append(label)
        return jnp.sum((y - args) ** 2)

    values = []
    for rate in (0.1, 0.01):
        solver = optimistix.OptaxMinimiser(OPTIMIZERS[label](jnp.asarray(rate)), rtol=1e-6, atol=1e-6)
        values.append(optimistix.minimise(fun, solver, jnp.zeros(3), args=TARGET, max_steps=5, throw=False).value)
    assert len(traces) == 1
    assert (label == "L-BFGS") == bool(jnp.all(values[0] == values[1]))  # the rate is not that of the first trace


def test_an_array_among_the_hyperparameters_is_a_leaf():
    closure_to_pytree = pytest.importorskip("equinox.internal").closure_to_pytree
    rate = jnp.asarray(0.125)
    leaves = jax.tree.leaves(closure_to_pytree(gradtx.chain(gradtx.clip(1.0), gradtx.adamw(rate))))
    assert any(leaf is rate for leaf in leaves)
