"""The smallest thing that must work: a composed optimizer trains."""

import jax
import jax.numpy as jnp

import gradtx


def test_a_chain_of_adam_and_a_learning_rate_fits_a_line():
    inputs = jnp.linspace(-1, 1, 32)
    targets = 3 * inputs - 1

    def loss(params):
        return jnp.mean(jnp.square(params["slope"] * inputs + params["offset"] - targets))

    optimizer = gradtx.chain(gradtx.scale_by_adam(), gradtx.scale_by_learning_rate(0.1))
    params = {"slope": jnp.zeros(()), "offset": jnp.zeros(())}

    @jax.jit
    def step(params, state):
        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradients, state, params)
        return gradtx.apply_updates(params, updates), state, value

    state = optimizer.init(params)
    for _ in range(300):
        params, state, _ = step(params, state)
    assert loss(params) < 1e-6
