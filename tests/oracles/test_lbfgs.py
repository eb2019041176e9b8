"""L-BFGS equals Optax's in float64, on Rosenbrock's function and on a quadratic one."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
import trajectories

import gradtx

pytestmark = pytest.mark.usefixtures("x64")
START = {"a": jnp.asarray([-1.2, 1.0]), "b": jnp.asarray([0.5, 2.0, -0.3])}


def rosenbrock(params):
    x = jnp.concatenate([params["a"], params["b"]])
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def quadratic(params):
    return jnp.sum(params["a"] ** 2) + jnp.sum(jnp.asarray([1.0, 10.0, 50.0]) * params["b"] ** 2)


def descent(library, objective, *args):
    """A chain whose gradients are those of `objective`, whatever it is given."""

    def gradient(updates, params):
        return jax.grad(objective)(params)

    return library.chain(library.stateless(gradient), library.scale_by_lbfgs(*args), library.scale(-0.1))


@pytest.mark.parametrize("args", [(), (3,), (1,)])
@pytest.mark.parametrize("objective", [rosenbrock, quadratic])
def test_scale_by_lbfgs_moves_as_in_optax(objective, args):
    start = jax.tree.map(lambda x: jnp.asarray(x, float), START)
    trajectories.assert_moves_as_in_optax(
        lambda: descent(gradtx, objective, *args), lambda: descent(optax, objective, *args), start, rtol=1e-10
    )


def test_scale_by_lbfgs_without_initial_scale_moves_as_in_optax():
    start = jax.tree.map(lambda x: 0.01 * jnp.asarray(x, float), START)
    trajectories.assert_moves_as_in_optax(
        lambda: descent(gradtx, quadratic, 5, False), lambda: descent(optax, quadratic, 5, False), start, rtol=1e-10
    )


@pytest.mark.parametrize(("first", "second"), [(optax, gradtx), (gradtx, optax)], ids=["from Optax", "to Optax"])
def test_the_other_library_continues_a_run(first, second):
    start = jax.tree.map(lambda x: jnp.asarray(x, float), START)

    def state_of(library, like):
        return library.ScaleByLBFGSState(*like)

    def continued(library, params, state, steps):
        tx = library.scale_by_lbfgs(4)
        for _ in range(steps):
            updates, state = tx.update(jax.grad(rosenbrock)(params), state, params)
            params = jax.tree.map(lambda p, u: p - 0.1 * u, params, updates)
        return params, state

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        params, state = continued(first, start, first.scale_by_lbfgs(4).init(start), 6)  # the ring is full and begins again
        expected, _ = continued(first, params, state, 6)
        actual, _ = continued(second, params, state_of(second, state), 6)
    chex.assert_trees_all_close(actual, expected, rtol=1e-10)
