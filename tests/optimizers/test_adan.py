"""Adan's proximal decay: what the step and the penalty agree on."""

import chex
import jax.numpy as jnp

import gradtx


def test_a_proximal_decay_divides_what_the_step_has_moved():
    params = {"w": jnp.asarray([2.0, -1.0]), "b": jnp.asarray([3.0])}
    grads = {"w": jnp.asarray([0.5, 4.0]), "b": jnp.asarray([-1.0])}
    mask = {"w": True, "b": False}
    plain = gradtx.adan(0.25, weight_decay=0.0)
    proximal = gradtx.adan(0.25, weight_decay=0.5, mask=mask, proximal=True)
    moved = gradtx.apply_updates(params, plain.update(grads, plain.init(params), params)[0])
    decayed = gradtx.apply_updates(params, proximal.update(grads, proximal.init(params), params)[0])
    chex.assert_trees_all_close(decayed, {"w": moved["w"] / (1 + 0.25 * 0.5), "b": moved["b"]}, rtol=1e-6)


def test_a_proximal_decay_never_turns_a_parameter_round():
    tx = gradtx.decay_after_step(1.0, 10.0, proximal=True)
    params, still = jnp.asarray([1.0]), jnp.asarray([0.0])
    u, _ = tx.update(still, tx.init(params), params)
    chex.assert_trees_all_close(params + u, jnp.asarray([1 / 11]), rtol=1e-5)
