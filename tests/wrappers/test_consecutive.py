"""Two optimizers, one after the other."""

import chex
import jax
import jax.numpy as jnp

import gradtx


def halved():
    """Half of the parameters, by a decay."""
    return gradtx.chain(gradtx.set_to_zero(), gradtx.add_decayed_weights(0.5), gradtx.scale(-1.0))


def test_the_second_starts_where_the_first_has_led():
    p, g = jnp.array([2.0, -4.0]), jnp.array([1.0, 3.0])
    tx = gradtx.consecutive(gradtx.sgd(1.0), halved())
    update, _ = tx.update(g, tx.init(p), p)
    chex.assert_trees_all_close(p + update, (p - g) / 2)


def test_both_are_given_the_gradient_and_keep_their_states():
    p, g = jnp.ones(2), jnp.array([0.5, 2.0])
    adam = gradtx.adam(0.1)
    tx = gradtx.consecutive(gradtx.sgd(0.1), adam)
    update, state = tx.update(g, tx.init(p), p)
    own, own_state = adam.update(g, adam.init(p), p)
    chex.assert_trees_all_close(update, own - 0.1 * g)
    chex.assert_trees_all_close(state[1], own_state)


def test_a_step_below_the_precision_of_the_parameters_is_not_lost_on_the_second():
    p = jnp.ones(1, jnp.bfloat16)
    back = gradtx.stateless(lambda g, p: jax.tree.map(lambda x: 1 - x, p))
    tx = gradtx.consecutive(gradtx.sgd(2.0**-12), back)
    update, _ = tx.update(p, tx.init(p), p)
    chex.assert_trees_all_equal(update, jnp.zeros(1, jnp.bfloat16))
