"""Arithmetic on trees, leaf by leaf."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import properties, trees

from gradtx import tree

HOLES = [None, tree.MaskedNode(), optax.MaskedNode()]


def optax_says(name, *args, **kwargs):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return getattr(optax.tree, name)(*args, **kwargs)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("add", lambda x: (x, x)),
        ("add", lambda x: (x, x, x, x)),
        ("sub", lambda x: (x, x)),
        ("mul", lambda x: (x, x)),
        ("scale", lambda x: (3, x)),
        ("scale", lambda x: (0.5, x)),
        ("add_scale", lambda x: (x, 0.5, x)),
        ("conj", lambda x: (x,)),
        ("real", lambda x: (x,)),
        ("where", lambda x: (True, x, x)),
        ("where", lambda x: (jnp.array(False), x, jax.tree.map(jnp.zeros_like, x))),
        ("cast", lambda x: (x, jnp.complex64)),
        ("cast", lambda x: (x, None)),
        ("cast_like", lambda x: (x, x)),
        ("batch_shape", lambda x: (x, (2, 3))),
        ("batch_shape", lambda x: (x,)),
        ("full_like", lambda x: (x, 3)),
        ("full_like", lambda x: (x, 3, jnp.int8)),
        ("ones_like", lambda x: (x,)),
        ("zeros_like", lambda x: (x, jnp.float16)),
    ],
)
@settings(properties, max_examples=10)
@given(x=trees())
def test_leaf_by_leaf_as_in_optax(name, arguments, x):
    ours = getattr(tree, name)(*arguments(x))
    theirs = optax_says(name, *arguments(x))
    chex.assert_trees_all_equal(ours, theirs)
    chex.assert_trees_all_equal_dtypes(ours, theirs)


@properties
@given(x=trees())
def test_sizes_and_closeness_are_those_of_optax(x):
    assert tree.size(x) == optax_says("size", x)
    for y in (x, tree.add(x, tree.ones_like(x))):
        assert tree.allclose(x, y) == optax_says("allclose", x, y)


@properties
@given(x=trees(dtypes=(jnp.float32, jnp.float16)))
def test_quotients_and_clips_are_those_of_optax(x):
    y = tree.add(x, tree.ones_like(x))
    chex.assert_trees_all_equal(tree.div(x, y), optax_says("div", x, y))
    for bounds in ({"min_value": -0.5, "max_value": 1}, {"min_value": 0.0}, {"max_value": 0.25}, {}):
        chex.assert_trees_all_equal(tree.clip(x, **bounds), optax_says("clip", x, **bounds))


@properties
@given(x=trees(dtypes=(jnp.float32, jnp.float16, jnp.bfloat16)))
def test_the_extremes_are_those_of_numpy_over_all_entries(x):
    entries = np.concatenate([np.zeros(0), *(np.ravel(leaf).astype(np.float64) for leaf in jax.tree.leaves(x))])
    assert float(tree.max(x)) == np.max(entries, initial=-np.inf)
    assert float(tree.min(x)) == np.min(entries, initial=np.inf)


def test_the_extremes_keep_nan_and_integers():
    assert jnp.isnan(tree.max([jnp.array([1.0, jnp.nan]), jnp.ones(2)]))
    for extreme in (tree.max, tree.min):
        assert jnp.isnan(extreme([jnp.ones(2**17).at[7].set(jnp.nan)]))  # which XLA's maximum of so many loses
    chex.assert_trees_all_equal(tree.max([jnp.arange(4), jnp.zeros(0)]), jnp.array(3))


@properties
@given(x=trees(), in_pairs=st.booleans())
def test_sums_and_inner_products_are_those_of_numpy_in_double_precision(x, in_pairs):
    leaves = [np.asarray(leaf).astype(np.complex128) for leaf in jax.tree.leaves(x)]
    total = sum(complex(np.sum(leaf)) for leaf in leaves)
    moduli = sum(float(np.sum(abs(leaf))) for leaf in leaves)
    squares = sum(float(np.sum(abs(leaf) ** 2)) for leaf in leaves)
    assert abs(complex(tree.sum(x, in_pairs)) - total) <= 1e-5 * moduli
    assert abs(complex(tree.vdot(x, x)) - squares) <= 1e-5 * squares


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_reductions_of_half_precision_are_in_float32(dtype):
    x = {"a": jnp.full(4096, 256.0, dtype)}
    assert tree.sum(x) == 2**20
    assert tree.vdot(x, x) == 2**28
    assert tree.sum(x).dtype == tree.vdot(x, x).dtype == jnp.float32


def test_the_inner_product_conjugates_the_first_tree_and_takes_trees_of_two_dtypes():
    assert tree.vdot([jnp.array(1 + 2j)], [jnp.array(3.0 + 1j)]) == 5 - 5j
    assert tree.vdot([jnp.ones(3, jnp.bfloat16)], [jnp.arange(3.0)]) == 3


def test_integers_add_up_to_an_integer():
    chex.assert_trees_all_equal(tree.sum({"a": jnp.arange(4)}), jnp.array(6))


def test_an_empty_tree_has_sum_zero_size_zero_and_is_close_to_itself():
    assert tree.sum({}) == tree.sum({}, True) == tree.vdot({}, {}) == tree.size({}) == 0
    assert tree.max({}) == -jnp.inf
    assert tree.min({}) == jnp.inf
    assert tree.allclose({}, {})


@pytest.mark.parametrize("hole", HOLES, ids=lambda hole: type(hole).__module__)
def test_holes_of_the_first_tree_stay(hole):
    x, y = {"a": hole, "b": jnp.ones(2)}, {"a": jnp.ones(3), "b": jnp.ones(2)}
    two = {"a": hole, "b": jnp.full(2, 2.0)}
    chex.assert_trees_all_equal(tree.add(x, y), two)
    chex.assert_trees_all_equal(tree.scale(2, x), two)
    assert tree.sum(x) == tree.vdot(x, y) == tree.size(x) == 2


def test_sizes_are_known_from_shapes_alone():
    assert tree.size([jax.ShapeDtypeStruct((2, 3), jnp.float32), 1.0]) == 7


def test_trees_that_are_far_apart_are_not_close():
    assert not tree.allclose([jnp.ones(2)], [jnp.array([1.0, 1.1])])
    assert tree.allclose([jnp.ones(2)], [jnp.array([1.0, 1.1])], atol=0.2)
    nan = [jnp.array(jnp.nan)]
    assert not tree.allclose(nan, nan)
    assert tree.allclose(nan, nan, equal_nan=True)
    assert jax.jit(tree.allclose)([jnp.ones(2)], [jnp.ones(2, jnp.bfloat16)])


def test_where_takes_an_array_that_broadcasts():
    picked = tree.where(jnp.array([True, False]), [jnp.ones(2)], [jnp.zeros(2)])
    chex.assert_trees_all_equal(picked, [jnp.array([1.0, 0.0])])
