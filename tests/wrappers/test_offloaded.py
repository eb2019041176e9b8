"""`offloaded` keeps large arrays on the host and computes what its inner transformation does."""

import functools

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx

HOST = "pinned_host"
OPTIMIZER = gradtx.offloaded(gradtx.adamw(1e-2), min_size=64)
PARAMS = {"w": jnp.ones((8, 16)), "b": jnp.ones(8)}
GRADS = {"w": jnp.full((8, 16), 0.5), "b": jnp.arange(8.0)}

# On a CPU, JAX 0.8 tells host and device apart in the types of arrays alone.
needs_memories = pytest.mark.skipif(
    jax.device_put(jnp.ones(1), jax.memory.Space.Host).sharding.memory_kind != HOST, reason="this JAX has one memory on a CPU"
)
pytestmark = needs_memories


def memories(state):
    return {(jnp.shape(x), x.sharding.memory_kind) for x in jax.tree.leaves(state)}


RESTING = {((8, 16), HOST), ((8,), "device"), ((), "device")}


@jax.jit
def step(params, state, grads=GRADS):
    updates, state = OPTIMIZER.update(grads, state, params)
    return gradtx.apply_updates(params, updates), state


def run(optimizer, steps=3):
    params, state = PARAMS, optimizer.init(PARAMS)
    for _ in range(steps):
        updates, state = optimizer.update(GRADS, state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state


@pytest.mark.parametrize("init", [OPTIMIZER.init, jax.jit(OPTIMIZER.init)])
def test_large_arrays_are_made_on_the_host(init):
    assert memories(init(PARAMS)) == RESTING


def test_numbers_are_those_of_the_inner_transformation():
    chex.assert_trees_all_equal(run(OPTIMIZER), run(gradtx.adamw(1e-2)))


def test_updates_and_parameters_stay_on_the_device():
    params, state = run(OPTIMIZER)
    assert {kind for _, kind in memories(params)} == {"device"}
    assert memories(state) == RESTING


def test_one_program_serves_all_steps():
    params, state = PARAMS, OPTIMIZER.init(PARAMS)
    traced = chex.assert_max_traces(lambda *args: OPTIMIZER.update(*args), n=1)
    update = jax.jit(traced)
    for _ in range(3):
        _, state = update(GRADS, state, params)


def test_donated_parameters_and_states_are_updated_in_place():
    params, state = jax.tree.map(jnp.copy, PARAMS), OPTIMIZER.init(PARAMS)
    new_params, new_state = jax.jit(step, donate_argnums=(0, 1))(params, state)
    assert all(x.is_deleted() for x in jax.tree.leaves((params, state)))
    chex.assert_trees_all_equal(new_params, run(OPTIMIZER, steps=1)[0])
    assert memories(new_state) == RESTING


def test_a_scan_carries_it():
    def body(carry, _):
        return step(*carry), None

    (params, state), _ = jax.lax.scan(body, (PARAMS, OPTIMIZER.init(PARAMS)), length=3)
    chex.assert_trees_all_close(params, run(OPTIMIZER)[0], rtol=1e-6)
    assert memories(state) == RESTING


def test_what_is_on_the_host_already_is_not_moved():
    nested = gradtx.offloaded(OPTIMIZER, min_size=64)
    moves = str(jax.make_jaxpr(nested.init)(PARAMS)).count("device_put")
    assert moves == str(jax.make_jaxpr(OPTIMIZER.init)(PARAMS)).count("device_put") == 2  # mu and nu of w


def test_an_array_on_the_device_goes_to_the_host_with_the_next_update():
    restored = jax.tree.map(lambda x: jax.device_put(x, jax.memory.Space.Device), OPTIMIZER.init(PARAMS))
    assert memories(step(PARAMS, restored)[1]) == RESTING


@pytest.mark.parametrize("spec", [("x", None), (None, "x")])
def test_layouts_among_devices_are_kept(spec):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    params = dict(PARAMS, w=jax.device_put(PARAMS["w"], jax.NamedSharding(mesh, jax.P(*spec))))
    state = OPTIMIZER.init(params)
    expected = params["w"].sharding.with_memory_kind(HOST)
    _, new_state = jax.jit(OPTIMIZER.update)(jax.tree.map(jnp.ones_like, params), state, params)
    for each in (state, new_state):
        assert gradtx.tree.get(each, "mu")["w"].sharding.is_equivalent_to(expected, 2)


@pytest.mark.parametrize(
    "around",
    [
        functools.partial(gradtx.MultiSteps, every_k_schedule=2),
        functools.partial(gradtx.apply_if_finite, max_consecutive_errors=3),
        lambda inner: gradtx.chain(gradtx.clip_by_global_norm(1.0), inner),
        lambda inner: gradtx.masked(inner, {"w": True, "b": False}),
        lambda inner: gradtx.compensated(inner),
    ],
)
def test_it_works_inside_of_other_wrappers(around):
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    plain, moved = around(gradtx.adamw(1e-2)), around(OPTIMIZER)
    states = [plain.init(params), moved.init(params)]
    for _ in range(3):
        (expected, states[0]), (updates, states[1]) = (
            jax.jit(tx.update)(GRADS, state, params) for tx, state in zip((plain, moved), states, strict=True)
        )
        chex.assert_trees_all_equal(updates, expected)
    assert ((8, 16), HOST) in memories(states[1])


def test_codes_of_a_quantized_optimizer_rest_on_the_host():
    optimizer = gradtx.offloaded(gradtx.quantized(gradtx.adamw(1e-2), min_size=64), min_size=64)
    _, state = run(optimizer)
    assert {str(x.dtype) for x in jax.tree.leaves(state) if x.sharding.memory_kind == HOST} == {"int8"}


def test_its_hyperparameters_can_be_set():
    optimizer = gradtx.offloaded(gradtx.adjustable(gradtx.adamw(1e-2)), min_size=64)
    state = gradtx.set_hyperparams(optimizer, optimizer.init(PARAMS), {"adamw.learning_rate": 0.5})
    updates, _ = optimizer.update(GRADS, state, PARAMS)
    assert updates["w"][0, 0] < -0.4


def test_another_memory_is_refused():
    with pytest.raises(ValueError, match="memory"):
        gradtx.offloaded(gradtx.adam(1e-3), memory="unpinned_host")  # pyright: ignore[reportArgumentType]
