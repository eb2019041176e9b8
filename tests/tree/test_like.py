"""Trees like another one."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from gradtx import tree
from gradtx.tree import like

PARAMS = {
    "bf16": jnp.ones((2, 3), jnp.bfloat16),
    "f16": jnp.ones(4, jnp.float16),
    "f32": jnp.ones(4),
    "complex": jnp.ones((), jnp.complex64),
}


def start(params, **options):
    return tree.moment_like(params, **options)


def dtypes(x):
    return {name: leaf.dtype for name, leaf in x.items()}


def test_moments_are_float32_or_wider():
    wide = {"bf16": jnp.float32, "f16": jnp.float32, "f32": jnp.float32, "complex": jnp.complex64}
    assert dtypes(start(PARAMS)) == wide
    assert dtypes(start(PARAMS, real=True)) == {**wide, "complex": jnp.float32}
    assert dtypes(start(PARAMS, dtype=jnp.bfloat16, real=True)) == dict.fromkeys(PARAMS, jnp.bfloat16)


def test_a_chosen_dtype_is_for_leaves_of_its_kind():
    real, own = {name: jnp.bfloat16 for name in PARAMS if name != "complex"}, {"complex": jnp.complex64}
    assert dtypes(start(PARAMS, dtype=jnp.bfloat16)) == {**real, **own}
    assert dtypes(start(PARAMS, dtype=jnp.float32)) == {**dict.fromkeys(real, jnp.float32), **own}
    assert dtypes(start(PARAMS, dtype=jnp.complex64)) == {**dict.fromkeys(real, jnp.float32), **own}


def test_moments_of_double_precision_are_in_double_precision(x64):
    params = {"f64": jnp.ones(2), "c128": jnp.ones(2, jnp.complex128)}
    assert dtypes(start(params)) == {"f64": jnp.float64, "c128": jnp.complex128}
    assert dtypes(start(params, real=True)) == {"f64": jnp.float64, "c128": jnp.float64}


def test_moments_start_at_zero_or_at_a_value_and_are_not_weakly_typed():
    params = {"a": jnp.asarray(2.0), "b": 3.0, "hole": None}
    for moment, value in [(start(params), 0.0), (start(params, fill_value=0.5), 0.5)]:
        chex.assert_trees_all_equal(moment, {"a": jnp.float32(value), "b": jnp.float32(value), "hole": None})
        assert not any(leaf.weak_type for leaf in jax.tree.leaves(moment))


def test_moments_of_what_cannot_be_averaged_are_refused_by_path():
    with pytest.raises(TypeError, match=r"^params\['step'\] has dtype int32, and only floating-point and complex"):
        start({"w": jnp.ones(2), "step": jnp.array(3)})
    with pytest.raises(TypeError, match=r"^params\['act'\] is not an array but a function, tanh"):
        start({"act": jnp.tanh})
    with pytest.raises(TypeError, match=r"^a moment needs a floating-point dtype, got int8, which would truncate it"):
        start(PARAMS, dtype="int8")


def test_shapes_are_enough():
    shapes = jax.eval_shape(lambda: PARAMS)
    for result in (jax.eval_shape(start, PARAMS), start(shapes)):
        assert dtypes(result) == dtypes(start(PARAMS))
        assert {name: leaf.shape for name, leaf in result.items()} == {name: leaf.shape for name, leaf in PARAMS.items()}
    chex.assert_trees_all_equal(tree.ones_like(shapes), tree.ones_like(PARAMS))


def test_no_two_leaves_share_a_buffer():
    params = {"a": jnp.zeros(3), "b": jnp.zeros(3)}
    for states in ([start(params), start(params)], jax.jit(lambda p: [start(p), start(p)])(params)):
        leaves = jax.tree.leaves([params, states])
        assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)
        jax.jit(lambda trees: jax.tree.map(jnp.exp, trees), donate_argnums=0)(states)


def test_works_under_vmap_and_grad():
    def total(params):
        return tree.sum(start(params, fill_value=2.0)) + tree.vdot(params, params)

    params = {"a": jnp.ones(3), "b": jnp.ones(())}
    chex.assert_trees_all_equal(jax.grad(total)(params), tree.scale(2.0, params))
    chex.assert_trees_all_equal(jax.jit(jax.grad(total))(params), tree.scale(2.0, params))
    batch = tree.batch_shape(params, (5,))
    chex.assert_trees_all_equal_shapes(jax.vmap(start)(batch), batch)
    chex.assert_trees_all_equal_shapes(jax.jit(jax.vmap(start))(batch), batch)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("call", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize(
    "make", [start, tree.ones_like, lambda p: tree.zeros_like(p, jnp.bfloat16)], ids=["moment", "ones", "cast"]
)
def test_sharding_is_kept(make, call, axis_type):
    mesh = jax.make_mesh((4,), ("x",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        specs = {"rows": P("x", None), "columns": P(None, "x"), "both": P(), "more rows": P("x", None)}
        params = {name: jax.device_put(jnp.zeros((8, 8)), jax.NamedSharding(mesh, spec)) for name, spec in specs.items()}
        for name, leaf in call(make)(params).items():
            assert leaf.sharding.is_equivalent_to(params[name].sharding, 2), name


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("call", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("spec", [P(), P("x"), P(None, "x")], ids=str)
def test_arrays_of_other_shapes_lie_on_the_devices_of_their_model(spec, call, axis_type):
    mesh = jax.make_mesh((4,), ("x",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        # Of a computed array the type names every axis.
        model = jnp.square(jax.device_put(jnp.ones((8, 8), jnp.bfloat16), jax.NamedSharding(mesh, spec)))
        for shape in ((), 8, (3, 5), (2, 8, 8)):
            full = call(lambda x, shape=shape: tree.full_of_shape(x, shape, 3))(model)
            chex.assert_trees_all_equal(full, jnp.full(shape, 3, jnp.bfloat16), strict=True)
            assert full.sharding.is_fully_replicated


def test_an_array_of_another_shape_lies_on_the_device_of_its_model():
    model = jax.device_put(jnp.ones((2, 3)), jax.devices()[1])
    assert tree.full_of_shape(model, 4).devices() == model.devices()


def test_leaves_repeat_along_new_axes():
    chex.assert_trees_all_equal(tree.batch_shape({"a": 3.0, "b": None}, (2,)), {"a": jnp.full(2, 3.0), "b": None})


def test_trees_like_another_are_those_of_optax():
    for name, options in [("full_like", (7,)), ("full_like", (7, jnp.int8)), ("zeros_like", ()), ("ones_like", (jnp.float16,))]:
        ours, theirs = getattr(tree, name)(PARAMS, *options), getattr(optax.tree, name)(PARAMS, *options)
        chex.assert_trees_all_equal(ours, theirs)
        chex.assert_trees_all_equal_dtypes(ours, theirs)


def test_a_copy_has_the_values_in_float32_or_wider_and_buffers_of_its_own():
    params = {**PARAMS, "hole": None}
    copy = tree.copy_of(params)
    chex.assert_trees_all_equal(copy, tree.cast_like(params, copy))
    assert dtypes(tree.copy_of(PARAMS)) == dtypes(start(PARAMS))
    assert dtypes(tree.copy_of(PARAMS, jnp.bfloat16)) == dtypes(start(PARAMS, dtype=jnp.bfloat16))
    assert copy["f32"].unsafe_buffer_pointer() != params["f32"].unsafe_buffer_pointer()


def test_a_copy_of_integers_is_refused_by_path():
    with pytest.raises(TypeError, match=r"^params\['step'\] has dtype int32"):
        tree.copy_of({"step": jnp.array(3)})


def test_filling_many_leaves_of_one_shape_is_traced_once():
    fill: Any = like._fill
    before = fill._cache_size()
    params = [jnp.ones((7, 3, 5)) for _ in range(20)]
    start(params)
    tree.moment_like(params, fill_value=2.0)
    jax.eval_shape(start, params)
    assert fill._cache_size() - before <= 2  # outside and inside of a trace
