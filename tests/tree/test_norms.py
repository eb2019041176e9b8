"""Norms of trees, where a plain sum of squares overflows or vanishes too."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from trees import properties, trees

from gradtx import tree

ORDERS = [None, 1, 2, jnp.inf, "inf", 3, 1.5]
LARGEST = jnp.finfo(jnp.float32).max


def in_double_precision(x, order=None):
    moduli = [np.ravel(np.abs(np.asarray(leaf).astype(np.complex128))) for leaf in jax.tree.leaves(x)]
    entries = np.concatenate([np.zeros(0), *moduli])
    unit = float(np.max(entries, initial=0)) or 1.0
    return unit * float(
        np.max(entries / unit, initial=0) if order in (np.inf, "inf") else np.linalg.norm(entries / unit, order)
    )


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_norms_have_gradients_and_second_derivatives(order, squared):
    x = jnp.asarray([3.0, -4.0, 0.5])

    def plain(x):
        size = jnp.linalg.norm(x, jnp.inf if order == "inf" else order)
        return size**2 if squared else size

    def ours(x):
        return tree.norm(x, order, squared)

    for derivative in (jax.grad, jax.jacfwd, jax.hessian, lambda f: jax.jit(jax.grad(f))):
        chex.assert_trees_all_close(derivative(ours)(x), derivative(plain)(x), rtol=1e-5, atol=1e-6)


def mesh(axis_type=AxisType.Auto):
    return jax.make_mesh((4,), ("x",), axis_types=(axis_type,))


@pytest.mark.parametrize("order", ORDERS)
@settings(properties, max_examples=10)
@given(x=trees())
def test_equals_numpy_in_double_precision(order, x):
    norm = tree.norm(x, order)
    assert norm.dtype == jnp.float32
    np.testing.assert_allclose(norm, in_double_precision(x, order), rtol=2e-6)
    np.testing.assert_allclose(tree.norm(x, order, squared=True), in_double_precision(x, order) ** 2, rtol=4e-6)


@pytest.mark.parametrize("order", ORDERS)
@settings(properties, max_examples=10)
@given(x=trees(), magnitude=st.sampled_from([1e-37, 1e-30, 1e-20, 1e-10, 1e10, 1e20, 1e30, 1e36]))
def test_is_exact_at_any_magnitude(order, x, magnitude):
    x = jax.tree.map(lambda leaf: leaf.astype(jnp.complex64) * magnitude, x)
    np.testing.assert_allclose(tree.norm(x, order), in_double_precision(x, order), rtol=2e-6, atol=1e-37)


@properties
@given(x=trees(dtypes=(jnp.bfloat16, jnp.float32)), magnitude=st.sampled_from([1e-30, 1e-10, 1.0, 1e20, 1e36]))
def test_its_gradient_has_length_one_at_any_magnitude(x, magnitude):
    x = jax.tree.map(lambda leaf: (leaf.astype(jnp.float32) * magnitude).astype(leaf.dtype), x)
    gradient = jax.grad(tree.norm)(x)
    chex.assert_trees_all_equal_dtypes(gradient, x)
    np.testing.assert_allclose(tree.norm(gradient), 1.0 if any(leaf.size for leaf in jax.tree.leaves(x)) else 0.0, rtol=1e-2)


def test_float16_does_not_overflow():
    updates = {"w": jnp.full(4, 512.0, jnp.float16)}
    assert tree.norm(updates) == tree.global_norm(updates) == 1024
    assert tree.norm(updates).dtype == jnp.float32


@pytest.mark.parametrize("order", [2, 1])
def test_a_norm_beyond_the_range_is_the_largest_number(order):
    x = [jnp.full(4, 3e38), jnp.ones(3)]
    assert tree.norm(x, order) == jax.jit(tree.norm, static_argnums=1)(x, order) == LARGEST
    chex.assert_tree_all_finite(jax.grad(tree.norm)(x))


@pytest.mark.parametrize("order", ORDERS)
def test_inf_makes_inf_and_nan_makes_nan(order):
    assert tree.norm([jnp.array([1.0, -jnp.inf]), jnp.ones(2)], order) == jnp.inf
    assert jnp.isnan(tree.norm([jnp.array([1.0, jnp.nan])], order))
    assert jnp.isnan(tree.norm([jnp.array([jnp.inf, jnp.nan])], order))
    assert jnp.isnan(tree.norm([jnp.ones(2**17).at[7].set(jnp.nan)], order))  # which XLA's maximum of so many loses


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("nothing", [{}, None, [jnp.zeros((0, 3))], {"a": tree.MaskedNode(), "b": None}])
def test_nothing_has_norm_zero(nothing, order):
    assert tree.norm(nothing, order) == 0


def test_holes_and_empty_arrays_are_skipped():
    assert tree.norm({"a": None, "b": tree.MaskedNode(), "c": jnp.zeros(0), "d": jnp.full(4, 1.0)}) == 2


def test_integers_and_python_numbers_count():
    assert tree.norm([jnp.arange(3), 2.0]) == 3
    assert tree.norm([3, jnp.array([True, False])], 1) == 4


def test_the_gradient_at_zero_is_zero_and_that_of_the_gradient_is_finite():
    chex.assert_trees_all_equal(jax.grad(tree.norm)(jnp.zeros(3)), jnp.zeros(3))
    chex.assert_trees_all_equal(jax.vmap(jax.grad(tree.norm))(jnp.zeros((2, 3))), jnp.zeros((2, 3)))
    chex.assert_tree_all_finite(jax.hessian(tree.norm)(jnp.zeros(3)))


@pytest.mark.parametrize(("options", "expected"), [({"squared": True}, [6.0, -8.0]), ({"ord": 1}, [1.0, -1.0])])
def test_sums_in_float64_are_differentiated_without_float64(options, expected):
    gradient = jax.grad(lambda x: tree.norm(x, **options))(jnp.asarray([3.0, -4.0]))
    chex.assert_trees_all_equal(gradient, jnp.asarray(expected))
    tangent = jax.jvp(jax.grad(lambda x: tree.norm(x, **options)), (gradient,), (jnp.ones(2),))[1]
    chex.assert_trees_all_equal(tangent, jnp.full(2, 2.0 if "squared" in options else 0.0))


def test_derivatives_are_those_of_the_norm(x64):
    def plain(x):
        return jnp.sqrt(sum(jnp.sum(jnp.square(abs(leaf))) for leaf in x))

    x = [jnp.array([3.0, 4.0]), jnp.array(2.0 - 1j)]
    chex.assert_trees_all_close(jax.grad(tree.norm)(x), jax.grad(plain)(x), rtol=1e-14)
    real = [jnp.array([3.0, 4.0]), jnp.array(2.0)]
    chex.assert_trees_all_close(jax.hessian(tree.norm)(real), jax.hessian(plain)(real), rtol=1e-13)


def test_double_precision_is_kept(x64):
    norm = tree.norm([jnp.full(4, 1e100), jnp.ones(3, jnp.float32)])
    assert norm.dtype == jnp.float64
    np.testing.assert_allclose(norm, 2e100, rtol=1e-15)
    np.testing.assert_allclose(tree.norm([jnp.full(4, 1e-100)]), 2e-100, rtol=1e-15)


def test_a_batch_of_norms_may_mix_magnitudes():
    x = jnp.array([[3e30, 4e30], [3.0, 4.0], [3e-30, 4e-30], [0.0, 0.0]])
    norms, gradients = jax.jit(jax.vmap(jax.value_and_grad(tree.norm)))(x)
    np.testing.assert_allclose(norms, [5e30, 5.0, 5e-30, 0.0], rtol=1e-6)
    np.testing.assert_allclose(gradients, [[0.6, 0.8]] * 3 + [[0.0, 0.0]], rtol=1e-6)


def test_derivatives_of_any_order_are_those_of_the_norm_and_zero_at_zero():
    x = jnp.array([3.0, -4.0, 0.0])
    gradient = jax.grad(tree.norm)(x, 3)
    np.testing.assert_allclose(gradient, np.sign(x) * x**2 / np.linalg.norm(x, 3) ** 2, rtol=1e-6)
    chex.assert_trees_all_equal(jax.grad(tree.norm)(jnp.zeros(3), 3), jnp.zeros(3))
    chex.assert_tree_all_finite(jax.grad(tree.norm)(1e36 * x, 3))


@pytest.mark.parametrize("order", ["fro", "linf", -1, 0, jnp.nan])
def test_another_order_is_refused(order):
    with pytest.raises(ValueError, match="norm: ord must be None, above 0, or inf, got"):
        tree.norm([jnp.ones(2)], order)


@pytest.mark.parametrize("magnitude", [0.0, 1e-36, 1e-30, 1e-10, 1.0, 1e18, 1e30, 1e36, jnp.inf, jnp.nan])
def test_large_leaves_have_a_norm_at_any_magnitude(magnitude):
    x = np.linspace(0.5, 1, 70_001, dtype=np.float32) * np.float32(magnitude)
    np.testing.assert_allclose(tree.norm([x, x]), np.linalg.norm(np.concatenate([x, x]).astype(np.float64)), rtol=1e-5)


def test_small_and_large_leaves_have_one_norm():
    x = {"small": jnp.full(3, 1e30), "large": jnp.full(100_000, 1e30), "half": jnp.full(5, 1e4, jnp.float16)}
    np.testing.assert_allclose(tree.norm(x), 1e30 * 100_003**0.5, rtol=1e-6)
    largest = jnp.finfo(jnp.float32).max
    assert tree.norm([jnp.full(3, largest), jnp.full(100_000, largest)]) == largest


def test_each_shape_is_traced_once(monkeypatch):
    traced, square = [], jnp.square
    monkeypatch.setattr(jnp, "square", lambda x: traced.append(x.shape) or square(x))
    jax.jit(tree.norm).trace([jnp.ones((37, k % 2 + 1)) for k in range(50)])
    assert sorted(traced) == [(37, 1), (37, 2)]


def test_a_second_call_outside_of_jit_compiles_nothing():
    x = [jnp.ones((3, 5)), jnp.ones(7)]
    for order in ORDERS:
        tree.norm(x, order)
        with jax.no_tracing():
            tree.norm(x, order)


@pytest.mark.parametrize("order", [None, 1, jnp.inf])
@pytest.mark.parametrize("magnitude", [1.0, 1e30, 1e-30])
@pytest.mark.parametrize("check_vma", [True, False])
def test_within_shard_map_it_is_the_norm_of_the_whole(check_vma, magnitude, order):
    x = {"w": magnitude * jnp.arange(8.0), "b": magnitude * jnp.arange(4.0)}
    shard_map = jax.shard_map(
        lambda x: tree.norm(x, order, axis_name="x"), mesh=mesh(), in_specs=P("x"), out_specs=P(), check_vma=check_vma
    )
    np.testing.assert_allclose(jax.jit(shard_map)(x), tree.norm(x, order), rtol=1e-6)


@pytest.mark.parametrize("axis_name", ["x", ("x",)])
@pytest.mark.parametrize("order", [None, 1, jnp.inf])
def test_a_leaf_that_all_devices_share_counts_once(order, axis_name):
    def norm_of_the_whole(x, specs):
        return jax.shard_map(lambda x: tree.norm(x, order, axis_name=axis_name), mesh=mesh(), in_specs=(specs,), out_specs=P())(
            x
        )

    x = {"w": jnp.arange(8.0), "b": jnp.arange(3.0)}
    np.testing.assert_allclose(norm_of_the_whole(x, {"w": P("x"), "b": P()}), tree.norm(x, order), rtol=1e-6)
    np.testing.assert_allclose(norm_of_the_whole(x, P()), tree.norm(x, order), rtol=1e-6)


def test_within_shard_map_the_gradient_is_that_of_the_whole():
    x = {"w": jnp.arange(8.0), "b": jnp.arange(3.0)}
    norm = jax.shard_map(lambda x: tree.norm(x, axis_name="x"), mesh=mesh(), in_specs=({"w": P("x"), "b": P()},), out_specs=P())
    chex.assert_trees_all_close(jax.grad(norm)(x), jax.grad(tree.norm)(x), rtol=1e-6)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_a_sharded_array_needs_no_axis_name(axis_type):
    devices = mesh(axis_type)
    with jax.set_mesh(devices):
        x = jax.device_put(jnp.arange(8.0), jax.NamedSharding(devices, P("x")))
        np.testing.assert_allclose(jax.jit(tree.norm)({"w": x}), np.linalg.norm(np.arange(8)), rtol=1e-6)
        np.testing.assert_allclose(tree.norm({"w": x * 1e30}), np.linalg.norm(np.arange(8)) * 1e30, rtol=1e-6)


@pytest.mark.xfail(jax.__version_info__ < (0, 10, 2), reason="on a CPU it keeps each leaf in float64", strict=True)
def test_no_temporary_is_as_large_as_a_leaf():
    x = [jax.ShapeDtypeStruct((512, 512), jnp.float32)] * 4 + [jax.ShapeDtypeStruct((2**18,), jnp.bfloat16)] * 4
    analysis = jax.jit(tree.norm).lower(x).compile().memory_analysis()
    assert analysis is not None
    assert analysis.temp_size_in_bytes < 2**16
