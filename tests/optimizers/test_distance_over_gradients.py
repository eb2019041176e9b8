"""Distance over gradients by layers: the paper's steps, spikes, zeros, dtypes of the state."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx


@pytest.mark.usefixtures("x64")
def test_each_leaf_takes_the_steps_of_the_paper():
    random = np.random.default_rng(0)
    start = {"w": random.normal(size=(3, 2)), "b": random.normal(size=4)}
    tx = gradtx.scale_by_distance_over_gradients(1e-2, 1e-6, param_dtype="float64", global_scale=0.5)
    p = {name: jnp.asarray(x) for name, x in start.items()}
    state = tx.init(p)
    expected = {name: x.copy() for name, x in start.items()}
    distance = {name: 1e-2 * (1 + np.linalg.norm(x)) for name, x in start.items()}
    total = dict.fromkeys(start, 0.0)
    for _ in range(20):
        g = {name: random.normal(size=x.shape) for name, x in start.items()}
        u, state = tx.update({name: jnp.asarray(x) for name, x in g.items()}, state, p)
        p = {name: p[name] - u[name] for name in p}
        for name in start:
            distance[name] = max(distance[name], np.linalg.norm(expected[name] - start[name]))
            total[name] += np.sum(g[name] ** 2)
            expected[name] = expected[name] - 0.5 * distance[name] / np.sqrt(total[name] + 1e-6) * g[name]
    chex.assert_trees_all_close(p, expected, rtol=1e-11)


@pytest.mark.parametrize("magnitude", [1e18, 1e20, 1e30])
def test_a_spike_whose_square_overflows_is_no_longer_step_and_is_left_out_of_the_sum(magnitude):
    tx, p = gradtx.scale_by_distance_over_gradients(1e-2), jnp.ones(4)
    u, state = tx.update(magnitude * jnp.ones(4), tx.init(p), p)
    np.testing.assert_allclose(jnp.linalg.norm(u), 0.03, rtol=1e-5)
    u, state = tx.update(jnp.ones(4), state, p)
    np.testing.assert_allclose(u, 0.015, rtol=1e-5)
    chex.assert_tree_all_finite(state)


def test_a_gradient_of_zeros_is_no_step_without_eps_too():
    tx, p = gradtx.scale_by_distance_over_gradients(eps=0.0), jnp.ones(3)
    u, _ = tx.update(0 * p, tx.init(p), p)
    np.testing.assert_array_equal(u, 0 * p)


def test_the_numbers_of_a_leaf_are_float32_though_the_parameters_are_not():
    state = gradtx.scale_by_distance_over_gradients().init({"w": jnp.ones((2, 3), jnp.bfloat16)})
    described = [(x["w"].shape, x["w"].dtype) for x in state]
    assert described == [((), jnp.float32), ((1,), jnp.float32), ((2, 3), jnp.float32)]


def test_the_start_is_kept_in_the_dtype_that_is_asked_for():
    state = gradtx.scale_by_distance_over_gradients(param_dtype=jnp.bfloat16).init(jnp.ones(3))
    assert state.init_params.dtype == jnp.bfloat16
    assert state.max_dist.dtype == jnp.float32
