"""A small problem, and a few steps of an optimizer."""

import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx.testing.samples import gradients_like


def start():
    """Parameters of the dtype that is the default."""
    random = np.random.default_rng(0)
    return {"a": jnp.asarray(random.normal(size=(4, 3))), "b": jnp.asarray(random.normal(size=4))}


def loss(params):
    """A function of these parameters that is not convex."""
    return jnp.sum((params["a"].T @ params["b"] - 1.0) ** 2) + 0.1 * jnp.sum(params["a"] ** 4)


def trained(tx, params, steps, state=None):
    """Parameters of any kind and the state after a few steps, along gradients that have nothing to do with a loss."""
    state = tx.init(params) if state is None else state
    for step in range(steps):
        updates, state = tx.update(gradients_like(params, step), state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state
