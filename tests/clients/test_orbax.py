"""Orbax saves a state and restores it: the run goes on as if it had not stopped."""

import chex
import jax
import numpy as np
import pytest
import regression
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import gradtx

pytestmark = pytest.mark.filterwarnings("ignore")
OPTIMIZERS = {
    "adamw after a clip": lambda: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1)),
    "injected": lambda: gradtx.inject_hyperparams(gradtx.adamw)(gradtx.linear_schedule(0.1, 0.0, 10)),
    "in directions of matrices": lambda: gradtx.galore(0.1, 2),
    "with noise": lambda: gradtx.chain(gradtx.add_noise(0.1, 0.5, key=0), gradtx.sgd(0.1)),
    "every second step": lambda: gradtx.MultiSteps(gradtx.adam(0.1), 2),
}


@pytest.mark.parametrize("label", OPTIMIZERS)
def test_a_run_that_orbax_restores_goes_on_as_before(label, tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    tx = OPTIMIZERS[label]()
    params = regression.init_params()
    gradients = jax.grad(regression.loss)(params)
    _, state = tx.update(gradients, tx.init(params), params)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "state", jax.eval_shape(tx.init, params))
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    chex.assert_trees_all_equal(tx.update(gradients, restored, params), tx.update(gradients, state, params))


def test_a_divided_state_moves_to_fewer_devices_and_back(tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    tx = gradtx.sharded(gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1)))
    params = {"w": np.cos(np.arange(128.0, dtype="float32")).reshape(16, 8), "b": np.ones(3, "float32")}

    def on(devices):
        mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])
        return jax.device_put(params, NamedSharding(mesh, PartitionSpec()))

    _, state = jax.jit(tx.update)(on(8), tx.init(on(8)), on(8))
    saved = jax.device_get(state)
    with ocp.StandardCheckpointer() as checkpointer:
        for step, devices in enumerate((4, 8)):
            checkpointer.save(tmp_path / str(step), state)
            checkpointer.wait_until_finished()
            state = checkpointer.restore(tmp_path / str(step), gradtx.abstract_state(tx, on(devices)))
            chex.assert_trees_all_equal(jax.device_get(state), saved)
            assert gradtx.tree.get(state, "mu")["w"].addressable_shards[0].data.shape == (16 // devices, 8)
            jax.jit(tx.update)(on(devices), state, on(devices))
