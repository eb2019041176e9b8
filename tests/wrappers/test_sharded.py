"""`sharded` divides the state of any transformation among devices, and computes what its inner transformation does."""

import contextlib
import functools
import warnings
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from jax.core import Tracer
from jax.sharding import AbstractMesh, AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import gradtx
from gradtx.testing import collectives
from gradtx.testing.events import LOWERED, compiler_events
from gradtx.tree import scopes

SHAPES = {"up": (32, 48), "down": (48, 16), "bias": (8,), "odd": (3,)}
PARAMS = {
    name: jnp.asarray(np.sin(np.arange(1.0, 1 + np.prod(shape))).reshape(shape), jnp.float32) for name, shape in SHAPES.items()
}
GRADS = [jax.tree.map(lambda p, k=k: jnp.cos(p * k), PARAMS) for k in (2.0, 3.0, 4.0)]
AUTO, EXPLICIT = AxisType.Auto, AxisType.Explicit


def mesh_of(kind=AUTO, **sizes):
    """A mesh of named axes, by default 8 devices along "data"."""
    sizes = sizes or {"data": 8}
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=(kind,) * len(sizes))


MESH = mesh_of()


def whole(tree, mesh=MESH):
    """A tree with a copy on every device."""
    return jax.tree.map(
        lambda x: jax.device_put(x, NamedSharding(mesh, P(*[None] * x.ndim) if is_explicit(mesh) else P())), tree
    )


def is_explicit(mesh):
    return set(mesh.axis_types) == {EXPLICIT}


def context(mesh):
    return jax.set_mesh(mesh) if is_explicit(mesh) else contextlib.nullcontext()


def bytes_on_a_device(tree):
    return sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(tree))


def assert_lies(tree, planned):
    """Each leaf lies where it is planned to, but for what a jitted init puts anywhere."""
    shardings = jax.tree.map(lambda plan: getattr(plan, "sharding", plan), planned)
    for (path, leaf), sharding in zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(shardings), strict=True):
        where = f"{jax.tree_util.keystr(path)} has {leaf.sharding}, not {sharding}"
        assert not leaf.committed or leaf.sharding.is_equivalent_to(sharding, leaf.ndim), where


def assert_copied(tree, mesh=MESH):
    for leaf in jax.tree.leaves(tree):
        assert leaf.sharding.is_equivalent_to(NamedSharding(mesh, P()), leaf.ndim), leaf.sharding


def trained(tx, params, state, grads, extra_args=None):
    """Parameters and state after jitted steps, which are compiled once."""

    @jax.jit
    def step(params, state, grads):
        updates, state = tx.update(grads, state, params, **(extra_args or {}))
        return gradtx.apply_updates(params, updates), state

    params, state = step(params, state, grads[0])
    with compiler_events(LOWERED) as lowered:
        for each in grads[1:]:
            params, state = step(params, state, each)
    assert not lowered
    return params, state


def check(make, mesh=MESH, jitted=False, extra_args=None):
    """Three steps equal those on one device; state and parameters lie where they should. Return bytes: all, and a device's."""
    tx, plain = gradtx.sharded(make()), make()
    expected, reference = trained(plain, PARAMS, plain.init(PARAMS), GRADS, extra_args)
    with context(mesh):
        params, grads = whole(PARAMS, mesh), whole(GRADS, mesh)
        planned = gradtx.abstract_state(tx, params)
        state = (jax.jit(tx.init) if jitted else tx.init)(params)
        assert_lies(state, planned)
        params, state = trained(tx, params, state, grads, extra_args)
    chex.assert_trees_all_close(jax.device_get(params), jax.device_get(expected), rtol=0, atol=1e-6)
    assert jax.tree.structure(state) == jax.tree.structure(reference)
    assert_lies(state, planned)
    assert_copied(params, mesh)
    return sum(x.nbytes for x in jax.tree.leaves(reference)), bytes_on_a_device(state)


# --- any transformation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [*zoo.QUICK, "trace"])
def test_a_transformation_is_equal_when_sharded(label):
    check(zoo.TRANSFORMATIONS[label].make, jitted=True, extra_args=zoo.extra_args(label, PARAMS))


OPTIMIZERS = {
    "lion": lambda: gradtx.lion(1e-3),
    "lamb": lambda: gradtx.lamb(1e-3),
    "adafactor": lambda: gradtx.adafactor(1e-3, momentum=0.9),
    "schedule_free": lambda: gradtx.schedule_free_adamw(1e-2),
    "prodigy": lambda: gradtx.prodigy(),
    "averages": lambda: gradtx.exponentially_averaged(gradtx.adamw(1e-2), 0.9),
    "sm3": lambda: gradtx.sm3(1e-2),
    "quantized": lambda: gradtx.quantized(gradtx.adamw(1e-2), min_size=64, block_size=2),
    "adjustable": lambda: gradtx.adjustable(gradtx.adamw(1e-2)),
}


@pytest.mark.parametrize("label", OPTIMIZERS)
def test_a_device_keeps_an_eighth_of_the_state(label):
    total, own = check(OPTIMIZERS[label])
    left_over = total * 3 / sum(map(np.size, PARAMS.values()))  # of the three numbers that 8 devices cannot divide
    left_over += 4 * (48 + 16) if label == "sm3" else 0  # maxima along the divided dimension
    assert own <= (1.02 * total + 7 * left_over + 7 * 64) / 8  # and scalars


def test_a_sum_along_the_divided_dimension_is_whole_and_one_along_another_is_not():
    tx = gradtx.sharded(gradtx.adafactor(1e-3, min_dim_size_to_factor=8))
    state = tx.init(whole({"w": jnp.zeros((64, 128))}))
    assert gradtx.tree.get(state, "v_row")["w"].sharding.spec == P("data")
    assert gradtx.tree.get(state, "v_col")["w"].sharding.spec == P()


# --- what is sent -------------------------------------------------------------------------------------------------------

TALL = {name: jnp.zeros((512, 256)) for name in "abc"}


def loss(params, x):
    h = jnp.tanh(x @ params["a"])
    h = jnp.tanh(h @ params["b"].mT) @ params["c"]
    return jnp.mean(h**2)


def scattered(params, x):
    """The mean gradient over the devices, of which each has a part."""

    def of_device(params, x):
        own = jax.tree.map(lambda p: jax.lax.pcast(p, ("data",), to="varying"), params)
        return jax.tree.map(
            lambda g: jax.lax.psum_scatter(g, "data", scatter_dimension=0, tiled=True) / 8, jax.grad(loss)(own, x)
        )

    return jax.shard_map(of_device, mesh=MESH, in_specs=(P(), P("data")), out_specs=P("data"))(params, x)


def compiled(tx, gradient):
    def step(params, state, x):
        updates, state = tx.update(gradient(params, x), state, params)
        return gradtx.apply_updates(params, updates), state

    params = whole(TALL)
    x = jax.device_put(jnp.zeros((8, 512)), NamedSharding(MESH, P("data")))
    return jax.jit(step, donate_argnums=(0, 1)).lower(params, tx.init(params), x).compile()


@pytest.mark.skipif(not hasattr(jax.lax, "pcast"), reason="this JAX calls it pvary")
def test_with_scattered_gradients_a_step_sends_what_plain_data_parallelism_does():
    plain = compiled(gradtx.adamw(1e-3), jax.grad(loss))
    divided = compiled(gradtx.sharded(gradtx.adamw(1e-3)), scattered)
    sent = [sum(each.bytes for each in collectives(program).values()) for program in (plain, divided)]
    assert sent[1] <= 1.01 * sent[0]
    memory: list[Any] = [program.memory_analysis() for program in (plain, divided)]
    assert memory[1].temp_size_in_bytes <= 4.5 / 12.6 * memory[0].temp_size_in_bytes
    assert memory[1].argument_size_in_bytes <= 0.45 * memory[0].argument_size_in_bytes


# --- meshes and ways to run ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["adamw", "muon", "trace", "clip_by_global_norm"])
def test_it_works_on_an_explicit_mesh(label):
    check(zoo.TRANSFORMATIONS[label].make, mesh_of(EXPLICIT))


@pytest.mark.parametrize("kind", [AUTO, EXPLICIT])
def test_a_line_search_works_on_whole_parameters(kind):
    mesh, plain = mesh_of(kind), gradtx.chain(gradtx.sgd(0.1), gradtx.scale_by_backtracking_linesearch(5))
    tx = gradtx.sharded(plain)

    def value(params):
        if isinstance(params["up"], Tracer) and is_explicit(mesh):
            assert jax.typeof(params["up"]).sharding.spec == P(None, None)
        return jnp.sum(params["up"] @ params["down"]) ** 2 + jnp.sum(params["bias"] ** 2)

    def step(tx, params):
        loss, grad = jax.value_and_grad(value)(params)
        return tx.update(grad, tx.init(params), params, value=loss, grad=grad, value_fn=value)[0]

    expected = jax.jit(functools.partial(step, plain))(PARAMS)
    with context(mesh):
        found = jax.jit(functools.partial(step, tx))(whole(PARAMS, mesh))
    chex.assert_trees_all_close(jax.device_get(found), jax.device_get(expected), rtol=1e-5, atol=1e-6)
    assert_copied(found, mesh)


def test_gradients_that_are_not_summed_yet_are_scattered():
    mesh = mesh_of(EXPLICIT)
    tx = gradtx.sharded(gradtx.adamw(1e-2))
    x = np.cos(np.arange(256.0)).reshape(8, 32).astype("float32")

    def loss(params, x):
        return jnp.sum(jnp.tanh(x @ params["up"]) ** 2)

    def step(params, state, x, is_summed):
        model = params if is_summed else jax.tree.map(lambda p: jax.sharding.reshard(p, P(reduced=frozenset({"data"}))), params)
        gradients = jax.grad(loss)(model, x)
        assert jax.typeof(gradients["up"]).sharding.spec.unreduced == (frozenset() if is_summed else {"data"})
        updates, state = tx.update(gradients, state, params)
        return gradtx.apply_updates(params, updates), state

    with jax.set_mesh(mesh):
        params = whole({"up": PARAMS["up"]}, mesh)
        examples = jax.device_put(x, P("data"))
        runs = [jax.jit(functools.partial(step, is_summed=each))(params, tx.init(params), examples) for each in (True, False)]
    chex.assert_trees_all_close(*runs, rtol=1e-6)
    assert_copied(runs[1][0], mesh)


@pytest.mark.parametrize("kind", [AUTO, EXPLICIT])
def test_without_jit_it_computes_the_same(kind):
    mesh, tx, plain = mesh_of(kind), gradtx.sharded(gradtx.adamw(1e-2)), gradtx.adamw(1e-2)
    params = whole(PARAMS, mesh)
    updates, state = tx.update(whole(GRADS[0], mesh), tx.init(params), params)
    expected, _ = plain.update(GRADS[0], plain.init(PARAMS), PARAMS)
    chex.assert_trees_all_close(jax.device_get(updates), jax.device_get(expected), atol=1e-7)
    assert_copied(updates, mesh)
    assert_lies(state, gradtx.abstract_state(tx, params))


@pytest.mark.parametrize("jit", [lambda f: f, jax.jit])
def test_gradients_may_lie_on_one_device(jit):
    tx, plain = gradtx.sharded(gradtx.adamw(1e-2)), gradtx.adamw(1e-2)
    params = whole(PARAMS, mesh_of())
    updates, _ = jit(lambda: tx.update(GRADS[0], tx.init(params), params))()
    expected, _ = plain.update(GRADS[0], plain.init(PARAMS), PARAMS)
    chex.assert_trees_all_close(jax.device_get(updates), jax.device_get(expected), atol=1e-7)


def test_donated_in_a_scan_it_stays_divided():
    tx = gradtx.sharded(gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-2)))

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def run(params, state, grads):
        def step(carry, grads):
            updates, state = tx.update(grads, carry[1], carry[0])
            return (gradtx.apply_updates(carry[0], updates), state), None

        return jax.lax.scan(step, (params, state), grads)[0]

    params = whole(PARAMS)
    state, planned = tx.init(params), gradtx.abstract_state(tx, params)
    expected, _ = trained(tx, params, state, whole(GRADS))
    expected = jax.device_get(expected)
    copies = jax.tree.map(jnp.copy, params)
    found, state = run(copies, state, whole(jax.tree.map(lambda *each: np.stack(each), *GRADS)))
    chex.assert_trees_all_close(jax.device_get(found), expected, atol=1e-6)
    assert_copied(found)
    assert_lies(state, planned)
    assert all(x.is_deleted() for x in jax.tree.leaves(copies))


def test_on_one_device_it_changes_nothing():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AUTO,), devices=jax.devices()[:1])
    params, tx = whole(PARAMS, mesh), gradtx.adamw(1e-2)
    runs = [trained(each, params, each.init(params), whole(GRADS, mesh)) for each in (tx, gradtx.sharded(tx))]
    chex.assert_trees_all_equal(*runs)


def test_a_copied_state_is_divided_by_the_next_step():
    tx = gradtx.sharded(gradtx.adamw(1e-2))
    params = whole(PARAMS)
    restored = whole(jax.device_get(tx.init(params)))
    _, state = jax.jit(tx.update)(whole(GRADS[0]), restored, params)
    assert_lies(state, gradtx.abstract_state(tx, params))


# --- layouts --------------------------------------------------------------------------------------------------------------

SPECS = {"up": P(None, "model"), "down": P("model"), "bias": P("model"), "odd": P()}
DIVIDED = {"up": P("data", "model"), "down": P(("model", "data")), "bias": P(("model", "data")), "odd": P()}


def laid_out(mesh, specs=SPECS):
    return {name: jax.device_put(PARAMS[name], NamedSharding(mesh, spec)) for name, spec in specs.items()}


def by_name(path, leaf):
    return SPECS[path]


GRID = mesh_of(data=4, model=2)
LAYOUTS = {
    "shardings": {name: NamedSharding(GRID, spec) for name, spec in SPECS.items()},
    "specs": SPECS,
    "a function": by_name,
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_parameters_that_are_split_are_divided_further(layout):
    tx, plain = gradtx.sharded(gradtx.adamw(1e-2), layout=layout), gradtx.adamw(1e-2)
    params = laid_out(GRID)
    state = jax.jit(tx.init)(params)
    assert_lies(gradtx.tree.get(state, "mu"), {name: NamedSharding(GRID, spec) for name, spec in DIVIDED.items()})
    found, _ = trained(tx, params, tx.init(params), GRADS)
    right, _ = trained(plain, PARAMS, plain.init(PARAMS), GRADS)
    chex.assert_trees_all_close(jax.device_get(found), jax.device_get(right), atol=1e-6)
    assert_lies(found, params)


def test_arrays_say_themselves_how_they_are_split_and_so_do_types():
    tx = gradtx.sharded(gradtx.trace(0.9))
    assert_lies(tx.init(laid_out(GRID)).trace, {name: NamedSharding(GRID, spec) for name, spec in DIVIDED.items()})
    mesh = mesh_of(EXPLICIT, data=4, model=2)
    with jax.set_mesh(mesh):
        state = jax.jit(tx.init)(laid_out(mesh))
    assert_lies(state.trace, {name: NamedSharding(mesh, spec) for name, spec in DIVIDED.items()})


def test_a_prefix_of_the_tree_is_a_layout_and_masked_leaves_need_none():
    tx = gradtx.masked(
        gradtx.sharded(gradtx.trace(0.9), layout={"all": P()}), {"all": {**dict.fromkeys(SHAPES, True), "odd": False}}
    )
    with jax.set_mesh(MESH):
        state = jax.jit(tx.init)({"all": PARAMS})
    assert state.inner_state.trace["all"]["up"].sharding.spec == P("data")


def test_one_layout_serves_all_and_brings_its_mesh():
    tx = gradtx.sharded(gradtx.trace(0.9), layout=NamedSharding(MESH, P()))
    state = jax.jit(tx.init)(PARAMS)
    updates, _ = jax.jit(tx.update)(GRADS[0], state, PARAMS)
    assert_copied(updates)
    assert state.trace["up"].sharding.spec == P("data")


def test_several_axes_divide_and_what_is_split_along_them_stays():
    mesh = mesh_of(data=2, replica=4)
    tx = gradtx.sharded(gradtx.trace(0.9), ("data", "replica"))
    params = laid_out(mesh, {"up": P(), "down": P("data"), "bias": P(("replica", "data")), "odd": P()})
    specs = {name: leaf.sharding.spec for name, leaf in tx.init(params).trace.items()}
    assert specs == {
        "up": P(("data", "replica")),
        "down": P(("data", "replica")),
        "bias": P(("replica", "data")),
        "odd": P(),
    }


def test_the_rule_of_dimensions_may_be_ones_own():
    seen = {}

    def first(shape, spec, axes):
        seen[shape] = spec, dict(axes)
        return 0 if len(shape) == 2 else None

    tx = gradtx.sharded(gradtx.trace(0.9), layout=SPECS, split=first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = tx.init(laid_out(GRID))
    assert seen[32, 24] == (P(None, "model"), {"data": 4})
    assert {name: leaf.sharding.spec for name, leaf in state.trace.items()} == {
        "up": P("data", "model"),
        "down": P(("model", "data")),
        "bias": P("model"),
        "odd": P(),
    }


def test_what_works_on_whole_matrices_is_told_how_they_are_split():
    seen = []

    def update(updates, state, params=None):
        seen.append([sharding and sharding.spec for sharding in scopes.shardings_of(updates)])
        return updates, state

    tx = gradtx.sharded(gradtx.GradientTransformation(lambda params: (), update))
    params = whole(PARAMS)
    jax.jit(tx.update)(params, (), params)
    assert seen == [[P("data"), P("data"), P(), P("data")]]  # bias, down, odd, up
    assert scopes.shardings_of(params) == [None] * 4


def test_a_thousand_devices_are_planned_without_one():
    mesh = AbstractMesh((64, 16), ("data", "model"), axis_types=(AUTO, AUTO))
    shape = jax.ShapeDtypeStruct((4096, 11008), jnp.float32, sharding=NamedSharding(mesh, P(None, "model")))
    state = gradtx.abstract_state(gradtx.sharded(gradtx.adamw(1e-3)), {"w": shape})
    assert gradtx.tree.get(state, "mu")["w"].sharding == NamedSharding(mesh, P("data", "model"))


# --- beside other wrappers ------------------------------------------------------------------------------------------------

AROUND = {
    "MultiSteps": lambda tx: gradtx.sharded(gradtx.MultiSteps(tx, 2)),
    "MultiSteps outside": lambda tx: gradtx.MultiSteps(gradtx.sharded(tx), 2),
    "adjustable outside": lambda tx: gradtx.adjustable(gradtx.sharded(tx)),
    "chain outside": lambda tx: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.sharded(tx)),
    "apply_if_finite outside": lambda tx: gradtx.apply_if_finite(gradtx.sharded(tx), 3),
    "quantized": lambda tx: gradtx.sharded(gradtx.quantized(tx, min_size=64, block_size=2)),
    "compensated": lambda tx: gradtx.sharded(gradtx.compensated(tx)),
    "itself": lambda tx: gradtx.sharded(gradtx.sharded(tx)),
}


@pytest.mark.parametrize("label", AROUND)
def test_it_combines_with_other_wrappers(label):
    tx, adamw = AROUND[label](gradtx.adamw(1e-2)), gradtx.adamw(1e-2)
    dtype = jnp.bfloat16 if label == "compensated" else jnp.float32
    params = whole(jax.tree.map(lambda p: p.astype(dtype), PARAMS))
    state = tx.init(params)
    found, state = trained(tx, params, state, [whole(jax.tree.map(lambda g: g.astype(dtype), each)) for each in GRADS])
    assert_copied(found)
    for name in ("mu", "nu"):
        part = gradtx.tree.get(state, name)
        assert bytes_on_a_device(part) <= sum(x.nbytes for x in jax.tree.leaves(part)) / 8 + 3 * 4
    if label in ("adjustable outside", "itself"):
        expected, _ = trained(adamw, PARAMS, adamw.init(PARAMS), GRADS)
        chex.assert_trees_all_close(jax.device_get(found), jax.device_get(expected), atol=1e-6)
    updates, _ = tx.update(params, state, params)  # outside of jit
    chex.assert_tree_all_finite(updates)


def test_hyperparameters_of_what_is_divided_can_be_set():
    tx = gradtx.adjustable(gradtx.sharded(gradtx.adamw(1e-2)))
    params = whole(PARAMS)
    state = gradtx.set_hyperparams(tx, tx.init(params), {"adamw.learning_rate": 0.0})
    updates, _ = jax.jit(tx.update)(whole(GRADS[0]), state, params)
    assert not np.any(updates["up"])


# --- warnings and errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make_init", [lambda tx: tx.init, lambda tx: jax.jit(tx.init)], ids=["eager", "jitted"])
def test_many_bytes_that_no_dimension_divides_are_named_in_one_warning(make_init):
    params = whole({"layers": [np.ones((7, 3), "float32")] * 7, "even": np.ones(1000, "float32")})
    with pytest.warns(UserWarning, match=r"sharded: of parameters 'layers/0', .* and 2 more cannot be divided") as caught:
        make_init(gradtx.sharded(gradtx.adam(1e-3)))(params)
    assert len(caught) == 1


def test_a_state_that_stays_whole_is_named():
    with pytest.warns(
        UserWarning, match="sharded: of the state 'mu', 'nu' cannot be divided along data, and every device has all"
    ):
        gradtx.sharded(gradtx.flatten(gradtx.scale_by_adam())).init(whole(PARAMS))
    assert gradtx.flatten(gradtx.sharded(gradtx.trace(0.9))).init(whole({"w": PARAMS["up"]})).trace.sharding.spec == P("data")


TX = gradtx.sharded(gradtx.trace(0.9))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TX.init(PARAMS), r"sharded: no mesh is known\. Put the parameters on one: jax\.device_put"),
        (lambda: jax.jit(TX.init)(PARAMS), "sharded: no mesh is known"),
        (
            lambda: gradtx.sharded(gradtx.trace(0.9), "x").init(whole(PARAMS)),
            "over says 'x', but the axes of the mesh are data",
        ),
        (lambda: jax.jit(TX.init)(laid_out(GRID)), r"how parameters are split along 'model': write layout=jax\.tree\.map"),
        (
            lambda: jax.shard_map(TX.init, mesh=MESH, in_specs=P(), out_specs=P())(PARAMS),
            "within shard_map along 'data' a device has parts of its own: call init and update outside of it",
        ),
        (
            lambda: gradtx.sharded(gradtx.trace(0.9), layout={"up": P()}).init(whole(PARAMS)),
            r"layout has nothing for params\['bias'\]",
        ),
        (
            lambda: gradtx.sharded(gradtx.trace(0.9), split=lambda shape, spec, axes: 0).init(whole({"odd": PARAMS["odd"]})),
            r"split says dimension 0 of 'odd', which has \(3,\) on a device: 8 devices cannot divide it",
        ),
    ],
)
def test_what_cannot_be_divided_is_an_error_that_says_what_to_write(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("layout", [{"w": "data"}, lambda path, leaf: "data"])
def test_a_layout_is_made_of_shardings(layout):
    with pytest.raises(TypeError, match=r"sharded: layout.* must be a NamedSharding or a PartitionSpec, got 'data'"):
        gradtx.sharded(gradtx.trace(0.9), layout=layout).init(whole({"w": PARAMS["up"]}))
