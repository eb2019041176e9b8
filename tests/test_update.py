"""Updates and averages keep dtypes, holes and layouts."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from gradtx.core import set_to_zero
from gradtx.testing.events import LOWERED, compiler_events
from gradtx.tree import MaskedNode
from gradtx.update import apply_updates, incremental_update, periodic_update

each_update = pytest.mark.parametrize(
    "update",
    [apply_updates, lambda p, u: incremental_update(u, p, 0.5), lambda p, u: periodic_update(u, p, 0, 1)],
    ids=["apply_updates", "incremental_update", "periodic_update"],
)


def mixed_tree(scale):
    return {"w": scale * jnp.arange(6.0).reshape(2, 3), "b": [scale * jnp.ones(3), jnp.float32(scale)]}


def test_apply_updates_adds_like_optax():
    got = apply_updates(mixed_tree(1.0), mixed_tree(-0.1))
    chex.assert_trees_all_equal(got, optax.apply_updates(mixed_tree(1.0), mixed_tree(-0.1)))


def test_holes_leave_the_parameter_as_it_is():
    params = {"a": jnp.ones(2), "b": jnp.ones(3), "c": {"d": jnp.ones(4)}, "n": jnp.arange(3)}
    updates = {"a": jnp.ones(2), "b": None, "c": MaskedNode(), "n": None}
    expected = {**params, "a": 2 * jnp.ones(2)}
    chex.assert_trees_all_equal(apply_updates(params, updates), expected)
    chex.assert_trees_all_equal(incremental_update(updates, params, 0.5), params)
    chex.assert_trees_all_equal(periodic_update(updates, params, 0, 1), {**params, "a": jnp.ones(2)})


def test_none_masks_leaves_and_not_all_of_a_tree():
    usual = {
        apply_updates: lambda new, old: apply_updates(old, new),
        incremental_update: lambda new, old: incremental_update(new, old, 0.5),
        periodic_update: lambda new, old: periodic_update(new, old, 0, 1),
    }
    for function, update in usual.items():
        name = "updates" if function is apply_updates else "new_tensors"
        for params in (jnp.ones(2), {"w": jnp.ones(2)}):
            with pytest.raises(ValueError, match=rf"^{function.__name__}: {name} is None, .* Write .*\(.*\)\.$"):
                update(None, params)
        chex.assert_trees_all_equal(update({"w": None}, {"w": jnp.ones(2)}), {"w": jnp.ones(2)})
        chex.assert_trees_all_equal(update(MaskedNode(), {"w": jnp.ones(2)}), {"w": jnp.ones(2)})
        assert update(None, None) is None
        assert update({}, {}) == {}


@each_update
@pytest.mark.parametrize("other", [jnp.float16, jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("own", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_the_dtype_of_the_parameter_is_kept(own, other, update):
    got = update({"w": jnp.ones(3, own)}, {"w": jnp.ones(3, other)})
    assert got["w"].dtype == own


def test_a_bfloat16_parameter_and_a_float32_update_are_added_in_float32():
    # In bfloat16 the update is 2⁻⁸, and the sum is half way between 1 and 1 + 2⁻⁷: it would be rounded to 1.
    update = jnp.float32(1.0025 * 2**-8)
    assert apply_updates(jnp.bfloat16(1), update) == jnp.bfloat16(1 + 2**-7)


def test_a_float_update_of_an_integer_is_refused_by_path():
    params = {"w": jnp.ones(2), "steps": jnp.arange(3)}
    updates = {"w": jnp.ones(2), "steps": jnp.full(3, -0.1)}
    with pytest.raises(TypeError, match=r"apply_updates: params\['steps'\] has dtype int32"):
        apply_updates(params, updates)
    with pytest.raises(TypeError, match=r"params\['steps'\]"):
        jax.jit(apply_updates)(params, updates)
    with pytest.raises(TypeError, match="float32 does not fit into int32"):
        periodic_update(updates, params, 0, 1)
    with pytest.raises(TypeError, match=r"incremental_update: .*new_tensors\['steps'\] has dtype int32"):
        incremental_update(params, params, 0.5)


def test_a_complex_update_of_a_real_parameter_is_refused():
    with pytest.raises(TypeError, match="a result of dtype complex64 cannot replace an array of dtype float32"):
        apply_updates(jnp.ones(2), jnp.ones(2, complex))


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint8, bool])
def test_an_integer_update_of_an_integer_is_added(dtype):
    params = {"w": jnp.ones(2), "steps": jnp.arange(3), "mask": jnp.array([True, False])}
    zeros = set_to_zero().update(params, set_to_zero().init(params))[0]
    chex.assert_trees_all_equal(apply_updates(params, zeros), params)
    ones = {"w": None, "steps": jnp.ones(3, dtype), "mask": None}
    chex.assert_trees_all_equal(jax.jit(apply_updates)(params, ones), {**params, "steps": jnp.arange(1, 4)})


def test_trees_that_do_not_match_are_refused_by_path():
    with pytest.raises(ValueError, match=r"apply_updates: updates\['w'\] has shape \(2,\), but params\['w'\] has shape \(3,\)"):
        apply_updates({"w": jnp.ones(3)}, {"w": jnp.ones(2)})
    with pytest.raises(ValueError, match=r"updates\['v'\] has no counterpart in params"):
        apply_updates({"w": jnp.ones(3)}, {"v": jnp.ones(3)})
    with pytest.raises(ValueError, match=r"an update of shape \(\) for an integer parameter of shape \(3,\)"):
        apply_updates({"w": jnp.arange(3)}, {"w": jnp.int32(0)})


def test_incremental_update_averages_like_optax(x64):
    new, old = mixed_tree(1.0), mixed_tree(-3.0)
    got = incremental_update(new, old, 0.01)
    chex.assert_trees_all_close(got, optax.incremental_update(new, old, 0.01), rtol=1e-15)


def test_incremental_update_takes_a_scheduled_step_size():
    at = jax.jit(lambda step_size: incremental_update(jnp.ones(2, jnp.bfloat16), jnp.zeros(2, jnp.bfloat16), step_size))
    chex.assert_trees_all_equal(at(jnp.float32(0.25)), jnp.full(2, 0.25, jnp.bfloat16))
    chex.assert_trees_all_equal(at(1.0), jnp.ones(2, jnp.bfloat16))


@pytest.mark.parametrize("steps", range(7))
def test_periodic_update_replaces_like_optax(steps):
    new, old = mixed_tree(1.0) | {"n": jnp.arange(3)}, mixed_tree(-3.0) | {"n": jnp.zeros(3, jnp.int32)}
    expected = optax.periodic_update(new, old, jnp.int32(steps), 3)
    chex.assert_trees_all_equal(periodic_update(new, old, jnp.int32(steps), 3), expected)
    chex.assert_trees_all_equal(jax.jit(periodic_update, static_argnums=3)(new, old, steps, 3), expected)


def test_periodic_update_refuses_a_period_of_zero():
    with pytest.raises(ValueError, match="periodic_update: update_period must be at least 1, got 0"):
        periodic_update(jnp.ones(2), jnp.zeros(2), 3, 0)


def test_updates_can_be_differentiated_and_batched():
    def moved(params, updates):
        return jnp.sum(apply_updates(params, updates) ** 2)

    params, updates = jnp.arange(3.0), jnp.ones(3)
    for gradient in jax.grad(moved, argnums=(0, 1))(params, updates):
        chex.assert_trees_all_equal(gradient, 2 * (params + updates))
    batched = jax.vmap(apply_updates, in_axes=(None, 0))(params, jnp.ones((4, 3)))
    chex.assert_trees_all_equal(batched, jnp.broadcast_to(params + 1, (4, 3)))


KINDS = [jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit]
LAYOUTS = [P(), P("x"), P(None, "x")]


@each_update
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("theirs", LAYOUTS)
@pytest.mark.parametrize("own", LAYOUTS)
def test_parameters_keep_their_layout_whatever_that_of_the_updates(own, theirs, kind, update):
    mesh = jax.make_mesh((4,), ("x",), axis_types=(kind,))
    params = jax.device_put(jnp.ones((4, 8)), NamedSharding(mesh, own))
    updates = jax.device_put(jnp.ones((4, 8)), NamedSharding(mesh, theirs))

    @jax.jit
    def step(params, updates):
        return update({"w": params}, {"w": 2 * updates})["w"]

    got = step(params, updates)
    assert got.sharding.is_equivalent_to(params.sharding, 2)
    np.testing.assert_allclose(got, update(jnp.ones((4, 8)), 2 * jnp.ones((4, 8))))


@pytest.mark.parametrize("compile", [jax.jit, lambda update: update], ids=["compiled", "eager"])
@each_update
@pytest.mark.parametrize("kind", KINDS)
def test_parameters_of_one_shape_keep_their_different_layouts(kind, update, compile):
    mesh = jax.make_mesh((4,), ("x",), axis_types=(kind,))

    def arrays(layouts):
        return [jax.device_put(jnp.ones((4, 8)), NamedSharding(mesh, layout)) for layout in layouts]

    layouts = [(own, theirs) for own in LAYOUTS for theirs in LAYOUTS]
    params, updates = (arrays(each) for each in zip(*layouts, strict=True))
    for param, new in zip(params, compile(update)(params, updates), strict=True):
        assert new.sharding.is_equivalent_to(param.sharding, 2)


def test_a_program_that_keeps_layouts_is_one_text_and_batches_and_differentiates():
    mesh = jax.make_mesh((2, 2), ("x", "y"), axis_types=(jax.sharding.AxisType.Auto,) * 2, devices=jax.devices()[:4])
    params, updates = (jax.device_put(jnp.ones((4, 8)), NamedSharding(mesh, own)) for own in (P(), P("x")))

    def lowered():
        return jax.jit(apply_updates).lower([params, params], [updates, updates]).as_text()

    assert lowered() == lowered()
    for axes, (p, u) in [((0, 0), (params, updates)), ((None, 0), (params[0], updates)), ((0, None), (params, updates[0]))]:
        for out in (0, 1):
            moved = jax.jit(jax.vmap(apply_updates, in_axes=axes, out_axes=out))(p, u)
            chex.assert_trees_all_equal(np.asarray(moved), np.full((4, 8) if out == 0 else (8, 4), 2.0))
    gradient = jax.jit(jax.grad(lambda p, u: jnp.sum(apply_updates(p, u) ** 2)))(params, updates)
    chex.assert_trees_all_equal(np.asarray(gradient), np.full((4, 8), 4.0))
    step = jax.shard_map(apply_updates, mesh=mesh, in_specs=P("x"), out_specs=P("x"), axis_names={"x"})
    chex.assert_trees_all_equal(np.asarray(jax.jit(step)(params, updates)), np.full((4, 8), 2.0))


@pytest.mark.parametrize("kind", KINDS)
def test_updates_apply_within_shard_map(kind):
    mesh = jax.make_mesh((4,), ("x",), axis_types=(kind,))
    params = jax.device_put(jnp.ones((4, 8)), NamedSharding(mesh, P("x")))
    apply = jax.jit(jax.shard_map(apply_updates, mesh=mesh, in_specs=(P("x"), P("x")), out_specs=P("x")))
    chex.assert_trees_all_equal(np.asarray(apply(params, params)), np.full((4, 8), 2.0))


def test_keeping_the_layout_costs_nothing_on_one_device():
    plain_memory, _ = compiled(lambda params, updates: jax.tree.map(jnp.add, params, updates))
    memory, program = compiled(apply_updates)
    assert memory.temp_size_in_bytes == plain_memory.temp_size_in_bytes
    assert memory.alias_size_in_bytes == plain_memory.alias_size_in_bytes
    assert "copy" not in program
    assert "custom-call" not in program


def compiled(update):
    """Memory and text of the program that updates donated parameters."""
    params = {str(i): jnp.ones((8, 128)) for i in range(3)}
    program = jax.jit(update, donate_argnums=0).lower(params, params).compile()
    memory, text = program.memory_analysis(), program.as_text()
    assert memory is not None
    assert text is not None
    return memory, text


@pytest.fixture
def lowered():
    """An event for each program that was lowered since the test began."""
    with compiler_events(LOWERED) as programs:
        jax.jit(lambda: jnp.zeros(()))()
        assert programs
        yield programs


@pytest.mark.parametrize(
    "around", [lambda f: f, jax.vmap, lambda f: lambda p, u: jax.vjp(f, p, u)[0]], ids=["plain", "vmap", "vjp"]
)
@each_update
def test_what_runs_without_jit_is_not_compiled_again(update, around, lowered):
    params = [jnp.ones((3, 4)), jnp.ones((3, 4))]
    jax.block_until_ready(around(update)(params, params))
    before = len(lowered)
    jax.block_until_ready(around(update)(params, params))
    assert len(lowered) == before


def test_trees_that_do_not_match_are_named_by_path_and_as_they_are_called():
    params = {"w": jnp.ones(2), "b": jnp.ones((2, 3))}
    advice = r"Updates are made for their params: updates, state = tx.update\(gradients, state, params\)\.$"
    for updates, message in (
        ({"w": jnp.ones(2), "b": jnp.ones(3)}, r"updates\['b'\] has shape \(3,\), but params\['b'\] has shape \(2, 3\)\. "),
        ({"w": jnp.ones(2)}, r"params\['b'\] has no counterpart in updates, which has \['w'\]\. "),
        ((params, ()), r"updates is a tuple, but params is a dict\. "),
    ):
        with pytest.raises(ValueError, match=f"^apply_updates: {message}{advice}"):
            apply_updates(params, updates)
        message = message.replace("updates", "new_tensors").replace("params", "old_tensors")
        for name, move in (
            ("incremental_update", lambda new, old: incremental_update(new, old, 0.1)),
            ("periodic_update", lambda new, old: periodic_update(new, old, 0, 2)),
        ):
            with pytest.raises(ValueError, match=f"^{name}: {message}Both must be trees of the same shapes"):
                move(updates, params)
