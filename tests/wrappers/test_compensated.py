"""16-bit parameters with the low bits of a float32 in the state, and rounded at random."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

WRAPPERS = {
    "compensated": gradtx.compensated,
    "compensated by 8 bits": lambda inner: gradtx.compensated(inner, low_bits=8),
    "stochastically_rounded": lambda inner: gradtx.stochastically_rounded(inner, 0),
}
every_wrapper = pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)


def parameters(dtype=jnp.bfloat16):
    scales = 10.0 ** jnp.linspace(-3, 1, 64)[None]
    return {"w": (jax.random.normal(jax.random.key(0), (32, 64)) * scales).astype(dtype), "gain": jnp.ones(3)}


def gradients(step, params):
    return jax.tree.map(lambda p: jax.random.normal(jax.random.key(step), p.shape).astype(p.dtype), params)


def trained(tx, params, steps):
    """The parameters after some steps, in which the gradients of 16-bit and of wide parameters are the same."""
    given = parameters()

    @jax.jit
    def step(k, params, state):
        updates = jax.tree.map(lambda g, p: g.astype(p.dtype), gradients(k, given), params)
        updates, state = tx.update(updates, state, params)
        return gradtx.apply_updates(params, updates), state

    return jax.lax.fori_loop(0, steps, lambda k, carry: step(k, *carry), (params, tx.init(params)))


@pytest.mark.parametrize("learning_rate", [1e-4, 1e-2])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_compensated_parameters_are_the_rounding_of_a_run_in_float32(learning_rate, dtype):
    optimizer = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(learning_rate, weight_decay=0.1))
    params = parameters(dtype)
    low, _ = trained(gradtx.compensated(optimizer), params, 1000)
    wide, _ = trained(optimizer, gradtx.tree.cast(params, jnp.float32), 1000)
    differ = np.asarray(low["w"] != wide["w"].astype(dtype))
    # A tie, which is rounded to even, and what follows from moving it by one float32.
    assert np.mean(differ) <= 1e-3
    chex.assert_trees_all_equal(low["gain"], wide["gain"])


@every_wrapper
def test_small_steps_are_not_lost(wrapper):
    params = {"w": jnp.ones(1000, jnp.bfloat16)}
    tx = wrapper(gradtx.adam(1e-4))
    state = tx.init(params)
    for _ in range(50):
        updates, state = jax.jit(tx.update)({"w": jnp.ones(1000, jnp.bfloat16)}, state, params)
        assert updates["w"].dtype == jnp.float32
        params = gradtx.apply_updates(params, updates)
    assert params["w"].dtype == jnp.bfloat16
    assert abs(jnp.mean(params["w"].astype(jnp.float32)) - 0.995) < 2e-3


@every_wrapper
def test_the_inner_transformation_sees_float32(wrapper):
    seen = []

    def update(updates, state, params):
        seen.extend((updates["w"].dtype, params["w"].dtype))
        return updates, state

    tx = wrapper(gradtx.GradientTransformation(gradtx.init_empty_state, update))
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    tx.update(params, tx.init(params), params)
    assert seen == [jnp.float32, jnp.float32]


AROUND = {
    "MultiSteps": lambda tx: gradtx.MultiSteps(tx, 2),
    "apply_if_finite": lambda tx: gradtx.apply_if_finite(tx, 3),
    "dynamic_loss_scaling": lambda tx: gradtx.dynamic_loss_scaling(tx, 1.0),
    "conditionally_mask": lambda tx: gradtx.conditionally_mask(tx, lambda step: step % 2 == 0),
    "conditionally_transform": lambda tx: gradtx.conditionally_transform(tx, lambda step: step >= 0),
    "chain": lambda tx: gradtx.chain(gradtx.clip_by_global_norm(1.0), tx),
    "adjustable": gradtx.adjustable,
    "masked": lambda tx: gradtx.masked(tx, True),
    "partition": lambda tx: gradtx.partition({"all": tx}, "all"),
    "inject_hyperparams": lambda tx: gradtx.inject_hyperparams(lambda rate: gradtx.chain(gradtx.scale(rate), tx))(rate=1.0),
    "averaged": lambda tx: gradtx.exponentially_averaged(tx, 0.9),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_wrappers_around_do_not_round_the_updates(around):
    params = parameters()
    tx = around(gradtx.compensated(gradtx.adam(1e-4)))
    state = tx.init(params)
    bare = gradtx.compensated(gradtx.adam(1e-4))
    expected, bare_state = params, bare.init(params)
    for k in range(2):
        updates, state = tx.update(gradients(0, params), state, params)
        assert updates["w"].dtype == jnp.float32
        params = gradtx.apply_updates(params, updates)
        if k == 0 or around not in (AROUND["MultiSteps"], AROUND["conditionally_mask"]):
            bare_updates, bare_state = bare.update(gradients(0, params), bare_state, expected)
            expected = gradtx.apply_updates(expected, bare_updates)
    if around is not AROUND["chain"]:  # which clips
        chex.assert_trees_all_equal(params["w"], expected["w"])


@every_wrapper
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.complex64])
def test_parameters_without_16_bits_are_refused(wrapper, dtype):
    with pytest.raises(ValueError, match=r"no parameter has 16 bits, but (float32|complex64)"):
        wrapper(gradtx.sgd(0.1)).init({"w": jnp.ones(3, dtype)})


def test_only_8_and_16_low_bits_are_known():
    with pytest.raises(TypeError, match=r"compensated: low_bits must be 8 or 16, got 4"):
        gradtx.compensated(gradtx.sgd(0.1), low_bits=4)  # pyright: ignore[reportArgumentType]


@every_wrapper
def test_holes_pass(wrapper):
    params = {"w": jnp.ones(3, jnp.bfloat16), "none": None, "masked": gradtx.MaskedNode()}
    tx = wrapper(gradtx.adam(0.1))
    state = tx.init(params)
    updates, new_state = tx.update(params, state, params)
    chex.assert_trees_all_equal_structs(updates, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)


def test_what_the_user_sets_is_kept():
    tx = gradtx.compensated(gradtx.sgd(0.0))
    params = {"w": jnp.full(3, 0.3, jnp.bfloat16)}
    state = tx.init(params)
    params = {"w": jnp.asarray([0.0, -2.0, jnp.inf], jnp.bfloat16)}
    updates, _ = tx.update(params, state, params)
    chex.assert_trees_all_equal(updates["w"][:2], jnp.zeros(2))


@every_wrapper
@pytest.mark.parametrize("number", [jnp.inf, -jnp.inf, jnp.nan])
def test_a_number_that_is_not_finite_is_seen_and_leaves_the_others_alone(wrapper, number):
    tx = wrapper(gradtx.sgd(1.0))
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    state = tx.init(params)
    for gradient in (jnp.asarray([0.5, number, 0.0], jnp.bfloat16), jnp.zeros(3, jnp.bfloat16)):
        updates, state = tx.update({"w": gradient}, state, params)
        params = gradtx.apply_updates(params, updates)
        assert not jnp.isfinite(params["w"][1])
        chex.assert_trees_all_equal(params["w"][::2], jnp.asarray([0.5, 1.0], jnp.bfloat16))


def test_states_are_split_as_the_parameters_are():
    mesh = jax.make_mesh((len(jax.devices()),), ("x",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    params = {"w": jax.device_put(jnp.ones((8, 4), jnp.bfloat16), sharding)}
    for wrapper in WRAPPERS.values():
        tx = wrapper(gradtx.sgd(0.1))
        state = jax.jit(tx.init)(params)
        updates, state = jax.jit(tx.update)(params, state, params)
        assert updates["w"].sharding.is_equivalent_to(sharding, 2)
        if "low" in getattr(state, "_fields", ()):
            assert state.low["w"].sharding.is_equivalent_to(sharding, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda inner: gradtx.chain(inner, gradtx.scale(0.5)),
        lambda inner: gradtx.chain(gradtx.chain(inner), gradtx.add_decayed_weights(0.1)),
        lambda inner: gradtx.named_chain(("inner", inner), ("freeze", gradtx.freeze({"w": True}))),
        lambda inner: gradtx.flatten(inner),
        lambda inner: gradtx.lookahead(inner, 5, 0.5),
        lambda inner: gradtx.mechanize(gradtx.MultiSteps(inner, 2)),
        lambda inner: gradtx.schedule_free(inner, 0.1),
        lambda inner: gradtx.low_rank(inner, 2, 2),
    ],
)
@pytest.mark.parametrize(
    "inner",
    [gradtx.compensated(gradtx.adam(1e-2)), gradtx.stochastically_rounded(gradtx.adam(1e-2), 0)],
    ids=["compensated", "rounded"],
)
def test_what_would_change_exact_steps_refuses_them(make, inner):
    with pytest.raises(ValueError, match=r"it changes the updates of .*, which are exact steps .* around all else"):
        make(inner)


def test_what_only_looks_at_exact_steps_may_follow_them():
    monitor = gradtx.monitor({"norm": gradtx.tree.norm})
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.compensated(gradtx.adam(1e-2)), gradtx.identity(), monitor)
    params = {"w": jnp.ones(8, jnp.bfloat16)}
    updates, _ = tx.update(params, tx.init(params), params)
    assert updates["w"].dtype == jnp.float32
