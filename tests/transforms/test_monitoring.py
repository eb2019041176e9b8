"""Measurements in the state: found by name, of one type, as in Optax."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx import tree


def positive(updates):
    return {"fraction": jax.tree.map(lambda u: u > 0, updates)}


def monitored(library):
    measures = {"norm": library.tree.norm, "mean norm": library.measure_with_ema(library.tree.norm, 0.9)}
    before, after = library.snapshot("before", library.tree.norm), library.snapshot("after", itself)
    return library.chain(before, library.adam(0.1), after, library.monitor(measures))


def itself(updates):
    return updates


@pytest.mark.usefixtures("x64")
def test_measurements_are_those_of_optax():
    def measured(library):
        tx, params = monitored(library), {"w": jnp.arange(3.0), "b": jnp.ones(())}
        state, found = tx.init(params), []
        for step in range(20):
            g = jax.tree.map(lambda p, s=step: jnp.cos(p + s), params)
            updates, state = tx.update(g, state, params)
            params = jax.tree.map(jnp.add, params, updates)
            found.append([library.tree.get(state, name) for name in ("before", "after", "norm", "mean norm")])
        return found, jax.tree.leaves(state)

    ours = measured(gradtx)
    with jax.numpy_dtype_promotion("standard"):
        chex.assert_trees_all_close(ours, measured(optax), rtol=1e-12)


def test_the_state_of_a_monitor_has_one_structure_from_the_start():
    tx, params = monitored(gradtx), {"w": jnp.ones(3, jnp.bfloat16)}
    state = tx.init(params)
    _, after = tx.update({"w": jnp.ones(3)}, state, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    assert tree.get(state, "norm") == 0


def test_a_snapshot_of_the_parameters_themselves_is_a_copy():
    params = {"w": jnp.ones(3)}
    state = gradtx.snapshot("all", itself).init(params)
    assert state.measurement["all"]["w"].unsafe_buffer_pointer() != params["w"].unsafe_buffer_pointer()


def test_averages_of_truths_are_fractions():
    tx = gradtx.measure_with_ema(positive, 0.5, debias=False)
    state = tx.init(jnp.zeros(2))
    for g in ([1.0, -1.0], [1.0, 1.0]):
        mean, state = tx.update(jnp.asarray(g), state)
    np.testing.assert_array_equal(mean["fraction"], [0.75, 0.5])


@pytest.mark.parametrize("debias", [False, True])
def test_an_average_in_low_precision_is_kept_in_float32(debias):
    tx, params = gradtx.measure_with_ema(itself, 0.999, debias), jnp.ones(2, jnp.bfloat16)
    state = tx.init(params)
    for _ in range(100):
        _, state = tx.update(params, state)
    np.testing.assert_allclose(state[1].ema, 1 - 0.999**100, rtol=1e-4)


def test_updates_pass_as_they_are():
    tx, params = gradtx.monitor({"norm": tree.norm}), {"w": jnp.ones(3), "hole": None}
    assert tx.update(params, tx.init(params))[0] is params


def moved(updates, params):
    return tree.norm(updates) / tree.norm(params)


def test_measures_may_see_the_parameters():
    tx = gradtx.monitor({"moved": moved, "mean": gradtx.measure_with_ema(moved, 0.5)})
    params = {"w": jnp.full(3, 2.0)}
    _, state = tx.update({"w": jnp.ones(3)}, tx.init(params), params)
    np.testing.assert_allclose(tree.get(state, "moved"), 0.5, rtol=1e-6)
    np.testing.assert_allclose(tree.get(state.measurements, "mean"), 0.5, rtol=1e-6)
    with pytest.raises(
        ValueError, match=r"monitor: the measure 'moved' reads the parameters: call update\(updates, state, params\)"
    ):
        tx.update({"w": jnp.ones(3)}, state)
