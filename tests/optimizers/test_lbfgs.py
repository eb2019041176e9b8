"""L-BFGS knows a quadratic function after as many steps as it has dimensions."""

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx
from gradtx import tree

CURVATURES = jnp.asarray([1.0, 4.0, 16.0])


def after(steps, tx, params):
    state = tx.init(params)
    for t in range(steps):
        # Steps along the axes, one after another, so that the differences span the space and are conjugate.
        _, state = tx.update(CURVATURES * params, state, params)
        params = params + jnp.where(jnp.arange(3) == t % 3, 0.5, 0.0)
    return params, state


def test_the_newton_step_of_a_quadratic_is_found_from_as_many_pairs_as_dimensions():
    tx = gradtx.scale_by_lbfgs(3)
    params, state = after(4, tx, jnp.asarray([1.0, -2.0, 3.0]))
    updates, _ = tx.update(CURVATURES * params, state, params)
    chex.assert_trees_all_close(updates, params, rtol=1e-5)


def test_a_pair_without_curvature_is_left_out():
    tx = gradtx.scale_by_lbfgs(3)
    params = jnp.asarray([1.0, -2.0, 3.0])
    state = tx.init(params)
    _, state = tx.update(params, state, params)
    updates, state = tx.update(params, state, params)  # nothing has moved
    chex.assert_trees_all_equal(state.weights_memory, jnp.zeros(3))
    chex.assert_trees_all_close(updates, params / tree.norm(params), rtol=1e-6)  # as in the first step


def test_one_compiled_function_serves_all_steps():
    tx = gradtx.scale_by_lbfgs(3)
    params = jnp.asarray([1.0, -2.0, 3.0])

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(params, state):
        updates, state = tx.update(CURVATURES * params, state, params)
        return tree.add_scale(params, jnp.asarray(-0.1), updates), state

    state = tx.init(params)
    for _ in range(3):
        params, state = step(params, state)


def test_a_memory_of_nothing_is_refused():
    with pytest.raises(ValueError, match="memory_size must be at least 1, got 0"):
        gradtx.scale_by_lbfgs(0)


def saddle(x):
    """Concave around 0, with minima away from it."""
    return jnp.sum(x**4 / 4 - x**2 / 2) + 0.1 * x[0] * x[1]


@pytest.mark.usefixtures("x64")
def test_every_step_descends_where_the_curvature_is_negative():
    """A pair of negative curvature would turn the direction uphill, where backtracking finds nothing."""
    tx = gradtx.lbfgs(linesearch=gradtx.scale_by_backtracking_linesearch(15, store_grad=True))
    params = jnp.asarray([0.05, -0.02])
    state = tx.init(params)
    value_and_grad = gradtx.value_and_grad_from_state(saddle)
    for _ in range(20):
        value, grad = value_and_grad(params, state=state)
        updates, state = tx.update(grad, state, params, value=value, grad=grad, value_fn=saddle)
        assert jnp.vdot(updates, grad) <= 0
        params = params + updates
    chex.assert_trees_all_close(saddle(params), jnp.asarray(-0.605), atol=1e-6)


def test_a_loop_compiles_once_also_without_jit():
    traces = []

    def fun(params):
        traces.append(params)
        return saddle(params)

    tx = gradtx.lbfgs()
    params = jnp.asarray([0.5, 2.0])
    state, traced = tx.init(params), []
    for _ in range(4):
        value, grad = jax.value_and_grad(saddle)(params)
        updates, state = tx.update(grad, state, params, value=value, grad=grad, value_fn=fun)
        params = params + updates
        traced.append(len(traces))
    assert traced[-1] == traced[0]


def test_a_fixed_learning_rate_needs_no_objective():
    tx = gradtx.lbfgs(0.5, linesearch=None)
    params = jnp.asarray([3.0, -1.0])
    state = tx.init(params)
    for _ in range(40):
        updates, state = tx.update(jax.grad(lambda p: jnp.sum(p**2))(params), state, params)
        params = params + updates
    chex.assert_trees_all_close(params, jnp.zeros(2), atol=1e-5)
