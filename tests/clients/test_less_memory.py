"""States in few bits are saved and restored to the bit, whatever saves them, and the run goes on as if it had not stopped."""

import pickle

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx

pytestmark = pytest.mark.filterwarnings("ignore")
PARAMS = {"w": jnp.linspace(-1, 1, 4096).reshape(16, 256), "b": jnp.ones(16)}
HALF = gradtx.tree.cast(PARAMS, jnp.bfloat16)
RUNS = {
    "8 bits": (gradtx.quantized(gradtx.adamw(1e-2)), PARAMS),
    "4 bits": (gradtx.quantized(gradtx.adamw(1e-2), bits=4), PARAMS),
    "compensated, 8 bits": (gradtx.compensated(gradtx.quantized(gradtx.adamw(1e-2))), HALF),
    "stored": (gradtx.stored(gradtx.adamw(1e-2), {"mu": jnp.bfloat16}), PARAMS),
}


def by_pickle(state, tx, params, folder):
    return pickle.loads(pickle.dumps(state))


def by_orbax(state, tx, params, folder):
    ocp = pytest.importorskip("orbax.checkpoint")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "state", state)
        checkpointer.wait_until_finished()
        return checkpointer.restore(folder / "state", jax.eval_shape(tx.init, params))


def by_flax(state, tx, params, folder):
    serialization = pytest.importorskip("flax.serialization")
    return serialization.from_bytes(tx.init(params), serialization.to_bytes(state))


def by_equinox(state, tx, params, folder):
    equinox = pytest.importorskip("equinox")
    equinox.tree_serialise_leaves(folder / "state.eqx", state)
    return equinox.tree_deserialise_leaves(folder / "state.eqx", tx.init(params))


def went_on(tx, params, state, steps):
    step = jax.jit(tx.update)
    for k in steps:
        gradients = jax.tree.map(lambda p, k=k: jax.random.normal(jax.random.key(k), p.shape, p.dtype), params)
        updates, state = step(gradients, state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state


@pytest.mark.parametrize("restored_by", [by_pickle, by_orbax, by_flax, by_equinox])
@pytest.mark.parametrize("label", RUNS)
def test_a_run_with_a_small_state_goes_on_as_before(label, restored_by, tmp_path):
    tx, start = RUNS[label]
    params, state = went_on(tx, start, tx.init(start), range(3))
    restored = restored_by(state, tx, params, tmp_path)
    chex.assert_trees_all_equal_structs(restored, state)
    chex.assert_trees_all_equal_shapes_and_dtypes(restored, state)
    chex.assert_trees_all_equal(restored, state)
    chex.assert_trees_all_equal(went_on(tx, params, restored, range(3, 6)), went_on(tx, params, state, range(3, 6)))
