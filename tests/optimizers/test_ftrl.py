"""FTRL-Proximal; its trajectories are compared with Keras's in tests/interop."""

import chex
import jax
import jax.numpy as jnp

import gradtx


def test_a_penalty_makes_what_does_not_matter_exactly_zero():
    x = jax.random.normal(jax.random.key(0), (200, 10))
    weights = jnp.zeros(10).at[:2].set(jnp.array([2.0, -3.0]))

    def loss(p):
        return jnp.mean(jnp.square(x @ (p - weights)))

    tx = gradtx.ftrl(1.0, l1=3.0)
    p = jnp.full(10, 0.1)
    state, update = tx.init(p), jax.jit(tx.update)
    for _ in range(200):
        updates, state = update(jax.grad(loss)(p), state, p)
        p = gradtx.apply_updates(p, updates)
    chex.assert_trees_all_close(p[:2], weights[:2], atol=0.3)
    chex.assert_trees_all_equal(p[2:], jnp.zeros(8))


def test_a_step_at_the_rate_zero_is_left_out():
    p = jnp.array([1.0, -2.0])
    tx = gradtx.ftrl(lambda count: 0.1 * (count > 0).astype(float))
    first, state = tx.update(jnp.ones(2), tx.init(p), p)
    second, _ = tx.update(jnp.ones(2), state, p)
    expected, _ = gradtx.ftrl(0.1).update(jnp.ones(2), gradtx.ftrl(0.1).init(p), p)
    chex.assert_trees_all_equal(first, jnp.zeros(2))
    chex.assert_trees_all_close(second, expected)


def test_where_nothing_is_known_the_parameters_stay():
    p = jnp.array([1.0, -2.0])
    tx = gradtx.ftrl(0.1, initial_accumulator_value=0.0)
    update, _ = tx.update(jnp.array([0.0, 1.0]), tx.init(p), p)
    assert update[0] == 0
    assert update[1] != 0
