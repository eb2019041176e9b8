"""Optimizers that find their own learning rate: what they find, spikes, masks and bad arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import tree

FREE = {
    "prodigy": gradtx.prodigy,
    "dadapt_adamw": gradtx.dadapt_adamw,
    "dog": gradtx.dog,
    "dowg": gradtx.dowg,
    "cocob": gradtx.cocob,
}

every = pytest.mark.parametrize("name", FREE)


def matrices(params):
    return jax.tree.map(lambda p: p.ndim == 2, params)


@every
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_it_finds_the_way_at_any_scale_of_the_loss(name, scale):
    def loss(params):
        return scale * jnp.mean(jnp.abs(params - 3.0))

    tx, start = FREE[name](), jnp.zeros(4)

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return (gradtx.apply_updates(params, updates), state), None

    (params, _), _ = jax.jit(lambda: jax.lax.scan(step, (start, tx.init(start)), None, length=2000))()
    assert loss(params) < 0.15 * loss(start)


@every
def test_after_a_spike_it_still_moves_and_is_finite(name):
    params = {"w": jnp.asarray([1.0, -2.0])}
    tx = FREE[name](1.0)
    state = tx.init(params)
    for magnitude in (1.0, 3e38, 1.0, 1.0):
        updates, state = tx.update({"w": jnp.asarray([magnitude, -magnitude])}, state, params)
        assert jnp.isfinite(updates["w"]).all()
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


@every
def test_dead_gradients_leave_the_parameters_where_they_are(name):
    params = {"w": jnp.asarray([1.0, -2.0])}
    tx = FREE[name]()
    updates, state = tx.update(tree.zeros_like(params), tx.init(params), params)
    np.testing.assert_array_equal(updates["w"], 0)
    updates, _ = tx.update(params, state, params)
    assert (jnp.abs(updates["w"]) > 0).all()


def test_coin_betting_goes_on_after_a_spike():
    tx, params = gradtx.cocob(), jnp.ones(2)
    _, state = tx.update(jnp.full(2, 2e38), tx.init(params), params)
    updates, _ = tx.update(-jnp.full(2, 1e38), state, params)
    np.testing.assert_allclose(updates, -0.5 / 100, rtol=1e-4)


@pytest.mark.parametrize("name", ["prodigy", "dadapt_adamw"])
def test_a_warm_up_may_begin_at_zero(name):
    tx, params = FREE[name](gradtx.linear_schedule(0.0, 1.0, 10)), jnp.asarray([1.0, -2.0])
    first, state = tx.update(params, tx.init(params), params)
    second, state = tx.update(params, state, params)
    np.testing.assert_array_equal(first, 0)
    assert (jnp.abs(second) > 0).all()
    assert jnp.isfinite(state.estim_lr)


def test_while_the_distance_is_infinite_the_estimate_of_d_adaptation_grows_and_is_no_nan():
    tx, params = gradtx.dadapt_adamw(), jnp.ones(3)

    def step(state, _):
        updates, state = tx.update(jnp.full(3, 7e16), state, params)
        return state, (updates, state.estim_lr)

    _, (updates, estimates) = jax.lax.scan(step, tx.init(params), None, length=256)
    assert jnp.isfinite(updates).all()
    assert (jnp.diff(estimates) >= 0).all()


def test_prodigy_decays_what_its_mask_says():
    params = {"matrix": jnp.ones((2, 2)), "vector": jnp.ones(2)}
    zeros = tree.zeros_like(params)
    tx = gradtx.prodigy(weight_decay=0.1, weight_decay_mask=matrices)
    updates, _ = tx.update(zeros, tx.init(params), params)
    assert (updates["matrix"] < 0).all()
    np.testing.assert_array_equal(updates["vector"], 0)


@pytest.mark.parametrize("name", ["prodigy", "dadapt_adamw"])
def test_a_decay_out_of_range_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name}: betas\[1\] must be at least 0 and below 1, got 1.0"):
        FREE[name](betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="estim_lr0 must be above 0"):
        FREE[name](estim_lr0=0.0)


def test_dog_takes_its_first_step_from_one_of_three_words():
    with pytest.raises(ValueError, match=r"init_step\[0\] must be \"distance\""):
        gradtx.dog(init_step=("guess", 1.0))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_distances_of_low_precision_params_are_kept_in_float32(dtype):
    params = jnp.ones(3, dtype)
    for name, make in FREE.items():
        leaves = jax.tree.leaves(jax.eval_shape(make().init, params))
        assert {leaf.dtype for leaf in leaves} <= {jnp.dtype(jnp.float32), jnp.dtype(jnp.int32), jnp.dtype(bool)}, name
