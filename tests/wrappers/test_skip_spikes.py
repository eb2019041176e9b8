"""`skip_spikes`: what is a spike, what is left out, and what a lasting change does."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

NOISE = 1 + 0.01 * np.sin(np.arange(40))


def taken(tx, norms, values=None):
    """Which steps are taken, of gradients with these norms, and the states after each step."""
    state, steps, states = tx.init(jnp.zeros(2)), [], []
    update = jax.jit(tx.update)
    for k, norm in enumerate(norms):
        extra_args = {} if values is None else {"value": jnp.asarray(values[k], jnp.float32)}
        updates, state = update(jnp.asarray([0.6, -0.8]) * norm, state, jnp.zeros(2), **extra_args)
        steps.append(bool(jnp.any(updates != 0)))
        states.append(state)
    return np.asarray(steps), states


def with_spikes(at, size=100.0):
    spiky = NOISE.copy()
    spiky[at] = size
    return spiky


TX = gradtx.skip_spikes(gradtx.trace(0.9), window=8, max_in_a_row=4)


def test_a_spike_is_left_out_and_the_inner_state_stays():
    steps, states = taken(TX, with_spikes([20, 30]))
    np.testing.assert_array_equal(np.flatnonzero(~steps), [20, 30])
    chex.assert_trees_all_equal(states[20].inner_state, states[19].inner_state)
    assert (states[20].in_a_row, states[21].in_a_row, states[-1].total) == (1, 0, 2)


def test_one_spike_does_not_hide_the_next():
    steps, _ = taken(TX, with_spikes([20], 1e6) * with_spikes([22], 5.0))
    np.testing.assert_array_equal(np.flatnonzero(~steps), [20, 22])


def test_a_spike_of_the_value_is_left_out_too():
    steps, states = taken(TX, NOISE, values=-with_spikes([20], -100.0))
    np.testing.assert_array_equal(np.flatnonzero(~steps), [20])
    assert (states[-1].values_seen, states[0].values_seen) == (8, 1)


def test_without_a_value_none_is_remembered():
    _, states = taken(TX, NOISE)
    assert states[-1].values_seen == 0
    np.testing.assert_allclose(states[-1].norms, NOISE[-8:], rtol=1e-6)


def test_nothing_is_left_out_before_the_window_is_full():
    steps, _ = taken(TX, with_spikes([6]))
    assert steps.all()


@pytest.mark.parametrize("before", [NOISE, np.ones(40), np.zeros(40)], ids=["noise", "ones", "zeros"])
def test_a_change_that_lasts_is_accepted(before):
    lasting = np.where(np.arange(40) < 20, before, 10 * NOISE)
    steps, _ = taken(TX, lasting)
    np.testing.assert_array_equal(steps[20:25], [False] * 4 + [True])
    assert steps[25:].all()


def test_numbers_that_are_all_alike_are_no_spikes_of_each_other():
    assert taken(TX, np.full(40, 0.1))[0].all()


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_norms_whose_squares_float32_does_not_hold_are_told_apart(size):
    steps, _ = taken(TX, size * with_spikes([20]))
    np.testing.assert_array_equal(np.flatnonzero(~steps), [20])


def test_a_nan_passes_and_is_not_remembered_and_an_infinity_is_a_spike():
    steps, states = taken(TX, with_spikes([20, 21], np.nan) * with_spikes([30], np.inf))
    np.testing.assert_array_equal(np.flatnonzero(~steps), [30])
    chex.assert_trees_all_equal(states[21].norms, states[19].norms)
    chex.assert_tree_all_finite((states[-1].norms, states[-1].values))


def test_a_value_reaches_what_reads_it():
    tx = gradtx.skip_spikes(gradtx.polyak_sgd())
    g = jnp.asarray([1.0, -2.0])
    updates, _ = tx.update(g, tx.init(g), g, value=jnp.asarray(5.0))
    np.testing.assert_allclose(updates, -g, rtol=1e-6)
    with pytest.raises((TypeError, ValueError), match=r"polyak_sgd|scale_by_polyak"):
        tx.update(g, tx.init(g), g)


def test_a_value_for_each_example_is_refused():
    with pytest.raises(ValueError, match=r"skip_spikes: value must be a scalar, got an array of shape \(3,\)"):
        TX.update(jnp.ones(2), TX.init(jnp.ones(2)), value=jnp.ones(3))


def test_holes_stay_and_a_tree_without_leaves_passes():
    tree = {"a": jnp.ones(2, jnp.bfloat16), "hole": None}
    updates, _ = TX.update(tree, TX.init(tree), tree)
    chex.assert_trees_all_equal(updates, tree)
    assert TX.update({}, TX.init({}), {})[0] == {}


def test_each_member_of_a_population_skips_for_itself():
    tx = gradtx.skip_spikes(gradtx.scale(1.0), window=2)
    states = jax.vmap(tx.init)(jnp.zeros((2, 3)))
    for gradients in (jnp.ones((2, 3)), jnp.ones((2, 3)), jnp.ones((2, 3)).at[1].set(50.0)):
        updates, states = jax.vmap(tx.update)(gradients, states)
    np.testing.assert_array_equal(updates, [[1.0] * 3, [0.0] * 3])


@pytest.mark.parametrize(("name", "value"), [("window", 1), ("sigmas", 0.0), ("max_in_a_row", 0)])
def test_what_can_mean_nothing_is_refused(name, value):
    with pytest.raises(ValueError, match=f"skip_spikes: {name} must be"):
        gradtx.skip_spikes(gradtx.sgd(0.1), **{name: value})
