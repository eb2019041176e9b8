"""Orbax saves a state and restores it: the run goes on as if it had not stopped."""

import chex
import jax
import pytest
import regression

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
