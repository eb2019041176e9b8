"""Flax trains with gradtx's optimizers where it asks for Optax's."""

import chex
import jax
import jax.numpy as jnp
import pytest
import regression

import gradtx

nnx = pytest.importorskip("flax.nnx")
train_state = pytest.importorskip("flax.training.train_state")
TX = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(gradtx.linear_schedule(0.1, 0.0, 30), weight_decay=0.01))
STEPS = 20


def test_nnx_optimizer_trains_as_a_plain_loop():
    model = nnx.Linear(3, 1, kernel_init=nnx.initializers.zeros, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, TX, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        value, gradients = nnx.value_and_grad(lambda model: ((model(regression.X) - regression.Y) ** 2).mean())(model)
        optimizer.update(model, gradients, value=value)

    for _ in range(STEPS):
        step(model, optimizer)
    learned = {"kernel": model.kernel[...], "bias": model.bias[...]}
    chex.assert_trees_all_close(learned, regression.trained(TX, STEPS), rtol=1e-5)


def test_labels_and_masks_may_be_mapped_over_the_state_of_a_model():
    for boxed in (False, True):
        model = nnx.Linear(3, 1, bias_init=nnx.initializers.ones, rngs=nnx.Rngs(0))
        state = nnx.state(model, nnx.Param)
        is_kernel = jax.tree.map(lambda p: p.ndim == 2, state)
        txs = [
            gradtx.masked(gradtx.set_to_zero(), is_kernel),
            gradtx.partition({True: gradtx.set_to_zero(), False: gradtx.identity()}, is_kernel),
        ]
        for tx in txs:
            params = state if boxed else jax.tree.map(lambda p: p[...], state, is_leaf=lambda p: isinstance(p, nnx.Variable))
            updates, _ = tx.update(params, tx.init(params), params)
            assert [float(jnp.sum(jnp.abs(u))) > 0 for u in jax.tree.leaves(updates)] == [True, False]
            nnx.Optimizer(model, tx, wrt=nnx.Param).update(model, state)


def test_train_state_trains_as_a_plain_loop():
    state = train_state.TrainState.create(apply_fn=None, params=regression.init_params(), tx=TX)

    @jax.jit
    def step(state):
        return state.apply_gradients(grads=jax.grad(regression.loss)(state.params))

    for _ in range(STEPS):
        state = step(state)
    chex.assert_trees_all_close(state.params, regression.trained(TX, STEPS), rtol=1e-5)


EXACT = gradtx.adam(1e-4)
HALF = {"kernel": jnp.asarray([[1.0], [-0.5], [2.0]], jnp.bfloat16), "bias": jnp.ones(1, jnp.bfloat16)}


def rounded_float32_run(steps):
    """What 16-bit parameters should be: those of a run in float32, rounded, whose gradients are all 1."""
    params = gradtx.tree.cast(HALF, jnp.float32)
    state = EXACT.init(params)
    for _ in range(steps):
        updates, state = EXACT.update(jax.tree.map(jnp.ones_like, params), state, params)
        params = gradtx.apply_updates(params, updates)
    return gradtx.tree.cast(params, jnp.bfloat16)


def test_nnx_optimizer_trains_compensated_parameters():
    model = nnx.Linear(3, 1, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    model.kernel[...], model.bias[...] = HALF["kernel"], HALF["bias"]
    optimizer = nnx.Optimizer(model, gradtx.compensated(EXACT), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param)))

    for _ in range(100):
        step(model, optimizer)
    chex.assert_trees_all_equal({"kernel": model.kernel[...], "bias": model.bias[...]}, rounded_float32_run(100))


def test_train_state_trains_compensated_parameters():
    state = train_state.TrainState.create(apply_fn=None, params=HALF, tx=gradtx.compensated(EXACT))
    step = jax.jit(lambda state: state.apply_gradients(grads=jax.tree.map(jnp.ones_like, state.params)))
    for _ in range(100):
        state = step(state)
    chex.assert_trees_all_equal(state.params, rounded_float32_run(100))
    assert state.params["bias"] < 1  # which Adam alone leaves as it is


def test_a_state_survives_flax_serialization():
    serialization = pytest.importorskip("flax.serialization")
    params = regression.init_params()
    state = TX.init(params)
    _, state = TX.update(params, state, params)
    restored = serialization.from_bytes(TX.init(params), serialization.to_bytes(state))
    chex.assert_trees_all_equal(restored, state)
