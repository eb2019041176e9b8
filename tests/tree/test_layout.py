"""An array is laid out as its model, and only where there is a layout to follow."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import gradtx
from gradtx import tree
from gradtx.testing.events import COMPILED, compiler_events
from gradtx.tree.layout import all_gathered, reshard_like


def models(*specs, axis_type=AxisType.Auto):
    mesh = jax.make_mesh((4,), ("x",), axis_types=(axis_type,))
    return [jax.device_put(jnp.ones((8, 8)), NamedSharding(mesh, spec)) for spec in specs]


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("call", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_two_trees_in_one_program_keep_their_own_layouts(call, axis_type):
    rows, columns = models(P("x"), P(None, "x"), axis_type=axis_type)
    generator, discriminator = {"w": rows}, {"w": columns}
    made = call(lambda *trees: [tree.zeros_like(t) for t in trees])(generator, discriminator)
    assert made[0]["w"].sharding.is_equivalent_to(rows.sharding, 2)
    assert made[1]["w"].sharding.is_equivalent_to(columns.sharding, 2)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.complex64])
def test_a_state_made_under_jit_lies_as_its_parameters_without_reading_them(dtype, axis_type):
    mesh = jax.make_mesh((4, 2), ("rows", "columns"), axis_types=(axis_type,) * 2)
    specs = [P("rows"), P(None, "columns"), P("columns", "rows"), P(("rows", "columns")), P()]
    params = [jax.device_put(jnp.full((64, 64), jnp.nan, dtype), NamedSharding(mesh, spec)) for spec in specs]
    init = jax.jit(gradtx.chain(gradtx.scale_by_adam(), gradtx.trace(0.9)).init)
    adam, momentum = init(params)
    for moments in (adam.mu, adam.nu, momentum.trace):
        for moment, param in zip(moments, params, strict=True):
            assert moment.sharding.is_equivalent_to(param.sharding, 2)
            assert not jnp.any(moment)
    program = init.lower(params).compile()
    memory = program.memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes == 0
    assert not re.search("all-|collective|custom-call", program.as_text() or "")


def test_an_array_that_lies_well_is_not_copied():
    (model,) = models(P("x"))
    assert tree.placed_like(model, model) is model
    assert tree.placed_like(jnp.ones(3), array := jnp.zeros(3)) is array


@pytest.mark.parametrize("model", [1.0, np.ones(3), jax.ShapeDtypeStruct((3,), jnp.float32)], ids=["number", "NumPy", "shape"])
def test_a_model_without_a_layout_asks_for_none(model):
    array = jnp.zeros(3)
    assert tree.placed_like(model, array) is array
    chex.assert_trees_all_equal(jax.jit(lambda x: tree.placed_like(model, x))(array), array)


@pytest.mark.parametrize("call", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_where_the_layout_is_part_of_the_type_an_array_is_gathered_and_spread_again(call):
    rows, columns = models(P("x"), P(None, "x"), axis_type=AxisType.Explicit)
    whole, spread = call(lambda rows, columns: (all_gathered(rows), reshard_like(columns, all_gathered(rows))))(rows, columns)
    assert whole.sharding.is_fully_replicated
    assert spread.sharding.is_equivalent_to(columns.sharding, 2)


def test_where_it_is_not_an_array_stays_where_it_is():
    rows, columns = models(P("x"), P(None, "x"))
    assert all_gathered(rows) is rows
    assert reshard_like(columns, rows) is rows


def test_a_batch_outside_of_jit_compiles_once():
    batch = {"a": jnp.ones((2, 3)), "b": jnp.ones((2, 3))}
    jax.vmap(tree.zeros_like)(batch)
    with compiler_events(COMPILED) as compiled:
        jax.vmap(tree.zeros_like)(batch)
    assert compiled == []


def test_a_state_may_hold_numbers_of_python():
    @gradtx.factory
    def counting():
        return gradtx.GradientTransformation(lambda params: {"steps": 0, "rate": 0.5}, lambda u, s, p=None: (u, s))

    params = {"w": jnp.ones(3)}
    assert counting().init(params) == {"steps": 0, "rate": 0.5}
    assert jax.jit(counting().init)(params)["steps"] == 0
    with_function = {"w": jnp.ones(3), "activation": jax.nn.relu}  # as Equinox has them
    assert jax.jit(lambda w: counting().init({**with_function, "w": w}))(params["w"])["steps"] == 0
