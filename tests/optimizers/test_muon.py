"""Muon on many devices: each orthogonalizes some of the matrices, and sends no more than these."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import gradtx
from gradtx.testing import collectives
from gradtx.testing.events import COMPILED, compiler_events
from gradtx.tree.exchange import on_whole
from gradtx.tree.scopes import placed

AUTO, EXPLICIT = AxisType.Auto, AxisType.Explicit
LINE, PLANE = ((8,), ("data",)), ((4, 2), ("data", "model"))
FSDP = dict.fromkeys(["qkv", "proj", "up", "down"], P("data"))
TENSOR = {"qkv": P("data", "model"), "proj": P("model", "data"), "up": P("data", "model"), "down": P("model", "data")}
MESHES = [(*LINE, FSDP), (*PLANE, TENSOR)]


def gpt(width, blocks=8):
    """The matrices of a GPT, and a vector in each block."""
    shapes = {"qkv": (width, 3 * width), "proj": (width, width), "up": (width, 4 * width), "down": (4 * width, width)}
    return {f"block {k}": shapes | {"norm": (width,)} for k in range(blocks)}


def gradients(width):
    rng = np.random.default_rng(0)
    is_shape = lambda node: isinstance(node, tuple)  # noqa: E731
    return jax.tree.map(lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32), gpt(width), is_leaf=is_shape)


def shardings(sizes, names, specs, kind):
    mesh = jax.make_mesh(sizes, names, axis_types=(kind,) * len(names))
    return {block: {name: NamedSharding(mesh, specs.get(name, P())) for name in leaves} for block, leaves in gpt(1).items()}


def told(tx, layout):
    """The update of a transformation that is told how the parameters are split, as `sharded` does it."""

    def update(updates, state, params):
        with placed(layout, lambda place, sharding: place._replace(sharding=sharding)):
            return tx.update(updates, state, params)

    return update


@pytest.mark.parametrize("kind", [AUTO, EXPLICIT])
@pytest.mark.parametrize(("sizes", "names", "specs"), MESHES, ids=["FSDP", "FSDP and tensor"])
def test_each_device_sends_its_parts_twice_and_orthogonalizes_an_eighth(sizes, names, specs, kind):
    layout = shardings(sizes, names, specs, kind)
    params = jax.tree.map(lambda sharding, shape: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding), layout, gpt(256))
    tx = gradtx.muon(0.02, ns_steps=1)  # how often an iteration runs, the compiler does not count
    update = told(tx, layout) if kind == AUTO else tx.update
    with jax.set_mesh(jax.tree.leaves(layout)[0].mesh):
        compiled = jax.jit(update).lower(params, gradtx.abstract_state(tx, params), params).compile()
    sent = collectives(compiled)
    assert sent.keys() == {"all-to-all"}
    share = 12 * 256 * 256 * 4  # bytes of matrices on a device: those of a block
    assert sent["all-to-all"].bytes == pytest.approx(2 * share * 7 / 8)  # 5.5 MB; the compiler alone sends 192.7 and 143.9
    products = 2 * 256**3 * ((2 * 3 + 1) + (2 * 1 + 1) + 2 * (2 * 4 + 1))  # of the matrices of a block, in one iteration
    analysis = compiled.cost_analysis()
    assert analysis
    assert products <= analysis["flops"] <= 1.05 * products


@pytest.mark.parametrize(("specs", "gathered"), [(FSDP, 0), ({}, 8 * 12 * 256 * 256 * 4 * 7 / 8)], ids=["FSDP", "copies"])
def test_sharded_tells_how_matrices_are_split(specs, gathered):
    layout = shardings(*LINE, specs, AUTO)
    params = jax.tree.map(lambda sharding, shape: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding), layout, gpt(256))
    tx = gradtx.sharded(gradtx.muon(0.02), layout=layout)
    sent = collectives(jax.jit(tx.update).lower(params, gradtx.abstract_state(tx, params), params).compile())
    assert sent["all-to-all"].bytes == pytest.approx(2 * 12 * 256 * 256 * 4 * 7 / 8)
    assert sent["all-gather"].bytes == pytest.approx(gathered, abs=1e4)  # of updates, and of a few vectors


@pytest.mark.parametrize("kind", [AUTO, EXPLICIT])
@pytest.mark.parametrize(("sizes", "names", "specs"), MESHES, ids=["FSDP", "FSDP and tensor"])
def test_steps_are_those_of_one_device_and_keep_every_layout(sizes, names, specs, kind):
    layout, tx = shardings(sizes, names, specs, kind), gradtx.muon(0.02)
    step = jax.jit(told(tx, layout) if kind == AUTO else tx.update)
    alone = gradients(32)
    g, state, expected_state = jax.device_put(alone, layout), tx.init(jax.device_put(alone, layout)), tx.init(alone)
    before = shardings_in(state)
    for k in range(3):
        with compiler_events(COMPILED) as compiled:
            updates, state = step(g, state, g)
        assert len(compiled) == (k == 0)
        expected, expected_state = jax.jit(tx.update)(alone, expected_state, alone)
        chex.assert_trees_all_close(jax.device_get(updates), expected, rtol=0, atol=1e-6)
        chex.assert_trees_all_close(jax.device_get(state), expected_state, rtol=0, atol=1e-6)
        assert laid_out_as(updates, layout)
    assert laid_out_as(state, before)


@pytest.mark.parametrize("kind", [AUTO, EXPLICIT])
@pytest.mark.parametrize("schedule", [0.02, lambda step: 0.02], ids=["one program", "by operations"])
def test_outside_of_jit_the_arrays_tell_it(kind, schedule):
    layout, tx = shardings(*PLANE, TENSOR, kind), gradtx.muon(schedule)
    alone = {"block 0": gradients(32)["block 0"]}
    g = jax.device_put(alone, {"block 0": layout["block 0"]})
    state, divided = tx.init(g), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradtx.tree.divided.on_whole", lambda *args, **options: divided.append(0) or on_whole(*args, **options))
        updates, state = tx.update(g, state, g)
    assert len(divided) == 4
    with compiler_events(COMPILED) as compiled:
        tx.update(g, state, g)
    assert compiled == []
    assert laid_out_as(updates, {"block 0": layout["block 0"]})
    chex.assert_trees_all_close(jax.device_get(updates), tx.update(alone, tx.init(alone), alone)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", [{"adaptive": True}, {"ns_coeffs": "dion"}, {"preconditioning": "aol"}], ids=str)
def test_options_are_of_each_matrix(options):
    layout, tx = shardings(*PLANE, TENSOR, AUTO)["block 0"], gradtx.muon(0.02, **options)
    alone = gradients(16)["block 0"]
    g = jax.device_put(alone, layout)
    updates, _ = jax.jit(told(tx, layout))(g, tx.init(g), g)
    expected, _ = jax.jit(tx.update)(alone, tx.init(alone), alone)
    chex.assert_trees_all_close(jax.device_get(updates), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [AUTO, EXPLICIT])
def test_layers_of_a_stack_are_divided_as_matrices_are(kind):
    mesh = jax.make_mesh(*PLANE, axis_types=(kind,) * 2)
    layout = {"w": NamedSharding(mesh, P(None, "data", "model")), "b": NamedSharding(mesh, P(None, "data"))}
    rng = np.random.default_rng(0)
    alone = {"w": jnp.asarray(rng.normal(size=(16, 8, 12)), jnp.float32), "b": jnp.ones((16, 8))}
    tx = gradtx.stacked(gradtx.muon(0.02))
    g = jax.device_put(alone, layout)
    compiled = jax.jit(told(tx, layout)).lower(g, state := tx.init(g), g).compile()
    assert collectives(compiled) == {"all-to-all": (2, pytest.approx(2 * 16 * 8 * 12 * 4 / 8 * 7 / 8))}
    expected, _ = jax.jit(tx.update)(alone, tx.init(alone), alone)
    chex.assert_trees_all_close(jax.device_get(compiled(g, state, g)[0]), expected, rtol=0, atol=1e-6)


def shardings_in(tree):
    return jax.tree.map(lambda x: x.sharding, tree)


def laid_out_as(tree, layout):
    return jax.tree.all(jax.tree.map(lambda x, sharding: x.sharding.is_equivalent_to(sharding, x.ndim), tree, layout))
