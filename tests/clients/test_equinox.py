"""Equinox models train with gradtx's optimizers, also with None instead of what is not an array."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest
import regression

import gradtx

eqx = pytest.importorskip("equinox")
TX = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1, weight_decay=0.01))
STEPS = 20


def test_an_equinox_model_trains_as_a_plain_loop():
    model = eqx.nn.MLP(3, 1, 4, 0, use_final_bias=True, key=jax.random.key(0))
    model = jax.tree.map(lambda leaf: leaf * 0 if eqx.is_array(leaf) else leaf, model)
    state = TX.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(model, state):
        gradients = eqx.filter_grad(lambda model: ((jax.vmap(model)(regression.X) - regression.Y) ** 2).mean())(model)
        updates, state = TX.update(gradients, state, eqx.filter(model, eqx.is_inexact_array))
        return eqx.apply_updates(model, updates), state

    for _ in range(STEPS):
        model, state = step(model, state)
    learned = {"kernel": model.layers[0].weight.T, "bias": model.layers[0].bias}
    chex.assert_trees_all_close(learned, regression.trained(TX, STEPS), rtol=1e-5)


class Model(eqx.Module):
    """A model with all that is not an array: functions, words, flags, numbers, objects, and arrays of integers."""

    mlp: Any
    dropout: Any
    table: jax.Array
    name: str = "model"

    def __call__(self, x):
        assert self.name == "model"
        return self.dropout(self.mlp(x), inference=True)


def made():
    mlp = eqx.nn.MLP(3, 1, 4, 1, use_final_bias=True, key=jax.random.key(0))
    return Model(mlp, eqx.nn.Dropout(0.5), jnp.arange(3))


def loss_of(model):
    return ((jax.vmap(model)(regression.X) - regression.Y) ** 2).mean()


SGD = gradtx.sgd(0.1)
WRAPPED = {
    "adamw": gradtx.adamw(0.1),
    "masked": gradtx.masked(SGD, gradtx.matching("**/weight")),
    "adamw of a mask": gradtx.adamw(0.1, mask=gradtx.not_matching("**/bias")),
    "partition": gradtx.partition({True: SGD, False: gradtx.adam(0.1)}, gradtx.matching("**/weight")),
    "freeze": gradtx.chain(SGD, gradtx.freeze(gradtx.matching("**/bias"))),
    "apply_if_finite": gradtx.apply_if_finite(SGD, 3),
    "MultiSteps": gradtx.MultiSteps(SGD, 2).gradient_transformation(),
    "inject_hyperparams": gradtx.inject_hyperparams(gradtx.adamw)(0.1),
    "adjustable": gradtx.adjustable(gradtx.adamw(0.1)),
    "dynamic_loss_scaling": gradtx.dynamic_loss_scaling(SGD),
    "conditionally_mask": gradtx.conditionally_mask(SGD, lambda step: step < 3),
    "muon": gradtx.muon(0.1),
    "galore": gradtx.galore(0.1, rank=1),
    "prodigy": gradtx.prodigy(),
    "flatten": gradtx.flatten(gradtx.adamw(0.1)),
    "consecutive": gradtx.consecutive(SGD, gradtx.adamw(0.1)),
    "lbfgs": gradtx.lbfgs(linesearch=gradtx.scale_by_backtracking_linesearch(3)),
    "sophia": gradtx.sophia(0.1),
}


@pytest.mark.parametrize("tx", WRAPPED.values(), ids=WRAPPED)
def test_whatever_wraps_takes_a_whole_model_as_it_takes_its_arrays(tx):
    model = made()
    arrays, rest = eqx.partition(model, eqx.is_inexact_array)
    value, gradients = eqx.filter_value_and_grad(loss_of)(model)
    given = {"value": value, "grad": gradients}
    state = tx.init(arrays)

    def step(params, f):
        functions = {"value_fn": f} if "lbfgs" in repr(tx) else {"obj_fn": f} if "sophia" in repr(tx) else {}
        return tx.update(gradients, state, params, **given, **functions)

    of_arrays = step(arrays, lambda arrays: loss_of(eqx.combine(arrays, rest)))
    of_all = step(model, loss_of)
    chex.assert_trees_all_close(of_all, of_arrays, rtol=1e-6)
    in_jit = eqx.filter_eval_shape(lambda model: step(model, loss_of), model)
    chex.assert_trees_all_equal_shapes_and_dtypes(in_jit, of_all)


def test_an_update_of_a_whole_model_compiles_once():
    tx, model = gradtx.apply_if_finite(gradtx.adjustable(WRAPPED["lbfgs"]), 3), made()
    value, gradients = eqx.filter_value_and_grad(loss_of)(model)
    state = tx.init(eqx.filter(model, eqx.is_inexact_array))
    executables = []
    for _ in range(3):
        updates, state = tx.update(gradients, state, model, value=value, grad=gradients, value_fn=loss_of)
        model = eqx.apply_updates(model, updates)
        executables.append(len(jax.devices()[0].client.live_executables()))
    assert executables[1] == executables[2]
