"""Two sets of parameters, which meet now and then."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

import gradtx

PARAMS = {"w": jnp.asarray([1.0, -2.0])}


def test_both_sets_can_be_donated_with_the_state():
    tx = gradtx.lookahead(gradtx.adam(0.1), 2, 0.5)
    params = gradtx.LookaheadParams.init_synced(jax.tree.map(jnp.array, PARAMS))
    state = tx.init(params)

    def step(params, state):
        updates, state = tx.update(params.fast, state, params)
        return gradtx.apply_updates(params, updates), state

    jax.jit(step, donate_argnums=(0, 1))(params, state)


def test_one_set_is_enough_for_the_state_but_not_for_the_update():
    tx = gradtx.lookahead(gradtx.adam(0.1), 2, 0.5)
    state = tx.init(PARAMS)
    with pytest.raises(TypeError, match=r"LookaheadParams.init_synced\(params\)"):
        tx.update(PARAMS, state, PARAMS)


def test_a_fraction_above_one_is_refused():
    with pytest.raises(ValueError, match="slow_step_size must be at least 0 and at most 1, got 2"):
        gradtx.lookahead(gradtx.sgd(0.1), 2, 2.0)


@pytest.mark.parametrize("library", [gradtx, optax], ids=["gradtx", "Optax"])
def test_params_of_optax_are_two_sets_too(library):
    params = library.LookaheadParams.init_synced(PARAMS)
    tx = gradtx.lookahead(gradtx.adam(0.1), 2, 0.5)
    state = tx.init(params)
    chex.assert_trees_all_equal(state, tx.init(PARAMS))
    assert isinstance(tx.update(PARAMS, state, params)[0], gradtx.LookaheadParams)


def test_an_optimizer_that_begins_again_begins_where_the_parameters_meet():
    # Optax gives it the fast parameters of the step before.
    tx = gradtx.lookahead(gradtx.dog(), 2, 0.5, reset_state=True)
    params = gradtx.LookaheadParams.init_synced(PARAMS)
    state = tx.init(params)
    for _ in range(4):
        updates, state = tx.update(PARAMS, state, params)
        params = gradtx.apply_updates(params, updates)
        meets = state.steps_since_sync == 0
        if meets:
            chex.assert_trees_all_close(params.fast, params.slow, rtol=1e-6)
            chex.assert_trees_all_equal(gradtx.tree.get(state, "init_params"), params.fast)
        assert gradtx.tree.get(state, "is_init_step") == meets


def test_extra_arguments_reach_the_fast_optimizer():
    tx = gradtx.lookahead(gradtx.polyak_sgd(), 2, 0.5)
    params = gradtx.LookaheadParams.init_synced(PARAMS)
    updates, _ = tx.update(PARAMS, tx.init(params), params, value=jnp.asarray(5.0))
    chex.assert_trees_all_close(updates.fast, {"w": jnp.asarray([-1.0, 2.0])}, rtol=1e-6)
