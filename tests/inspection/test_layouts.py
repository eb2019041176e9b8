"""`abstract_state` tells where a state will lie, without devices."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import gradtx

SHAPES = {"up": (8, 16), "down": (16, 8), "same": (8, 16), "b": (16,), "scale": ()}
SPECS = {"up": P("x", "y"), "down": P("y", "x"), "same": P(None, "x"), "b": P("x"), "scale": P()}
AUTO = (AxisType.Auto, AxisType.Auto)


def params_on(mesh):
    """Parameters in different layouts, two of one shape."""
    return {name: jax.device_put(jnp.ones(shape), NamedSharding(mesh, SPECS[name])) for name, shape in SHAPES.items()}


def shapes_on(mesh):
    return {
        name: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, SPECS[name]))
        for name, shape in SHAPES.items()
    }


@pytest.mark.parametrize("tx", [gradtx.adamw(1e-3), gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adafactor(1e-3, 4))])
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_a_state_lies_where_it_is_said_to(tx, kind):
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(kind, kind))
    params = params_on(mesh)
    with jax.set_mesh(mesh):
        state = jax.jit(tx.init)(params)
        planned = gradtx.abstract_state(tx, params)
    assert jax.tree.structure(planned) == jax.tree.structure(state)
    for plan, leaf in zip(jax.tree.leaves(planned), jax.tree.leaves(state), strict=True):
        assert (plan.shape, plan.dtype) == (leaf.shape, leaf.dtype)
        assert leaf.sharding.is_equivalent_to(plan.sharding, leaf.ndim), f"{leaf.sharding}, not {plan.sharding}"


def test_a_thousand_devices_are_planned_without_one():
    mesh = AbstractMesh((64, 16), ("x", "y"), axis_types=AUTO)
    shape = jax.ShapeDtypeStruct((4096, 11008), jnp.bfloat16, sharding=NamedSharding(mesh, P("x", "y")))
    tx = gradtx.compensated(gradtx.offloaded(gradtx.adamw(1e-3)))
    state = gradtx.abstract_state(tx, {"w": shape})
    mu = gradtx.tree.get(state, "mu")["w"]
    assert mu.sharding == NamedSharding(mesh, P("x", "y"), memory_kind="pinned_host")
    assert gradtx.tree.get(state, "low")["w"].sharding == NamedSharding(mesh, P("x", "y"))
    assert gradtx.tree.get(state, "count").sharding == NamedSharding(mesh, P())


def test_without_a_mesh_there_are_shapes_alone():
    params = {"w": jnp.ones((2, 3))}
    state = gradtx.abstract_state(gradtx.adam(1e-3), params)
    assert all(leaf.sharding is None for leaf in jax.tree.leaves(state))
    with pytest.raises(ValueError, match="state_shardings: no parameter is on a mesh"):
        gradtx.state_shardings(gradtx.adam(1e-3), params)


def test_parameters_on_several_meshes_are_refused():
    meshes = [AbstractMesh((n,), ("x",)) for n in (2, 4)]
    params = [jax.ShapeDtypeStruct((8,), jnp.float32, sharding=NamedSharding(mesh, P("x"))) for mesh in meshes]
    with pytest.raises(ValueError, match="abstract_state: parameters lie on 2 meshes"):
        gradtx.abstract_state(gradtx.adam(1e-3), params)


def test_shardings_of_a_fresh_state_go_together():
    params = params_on(jax.make_mesh((4, 2), ("x", "y"), axis_types=AUTO))
    tx = gradtx.adamw(1e-3)
    shardings = jax.tree.map(lambda x: x.sharding, tx.init(params))
    assert shardings == gradtx.state_shardings(tx, params)
    state = jax.jit(tx.init, out_shardings=shardings)(params)
    assert jax.tree.map(lambda x: x.sharding, state) == shardings
