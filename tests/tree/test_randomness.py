"""Random trees."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from hypothesis import given
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from trees import properties, trees

from gradtx import tree

KEY = jax.random.key(0)


@properties
@given(x=trees())
def test_random_trees_and_keys_are_those_of_optax(x):
    chex.assert_trees_all_equal(tree.split_key_like(KEY, x), optax.tree.split_key_like(KEY, x))
    for options in ({}, {"dtype": jnp.float16}, {"sampler": jax.random.normal, "dtype": jnp.complex64}):
        drawn, expected = tree.random_like(KEY, x, **options), optax.tree.random_like(KEY, x, **options)
        chex.assert_trees_all_equal(drawn, expected)
        chex.assert_trees_all_equal_dtypes(drawn, expected)


def test_old_keys_are_split_too():
    x, key = {"a": jnp.ones(2), "b": jnp.ones(3)}, jax.random.PRNGKey(1)
    chex.assert_trees_all_equal(tree.split_key_like(key, x), optax.tree.split_key_like(key, x))


def test_a_sampler_needs_but_three_arguments():
    def ones(key, shape, dtype):
        return jnp.ones(shape, dtype)

    x = {"a": jnp.zeros(2, jnp.bfloat16), "b": 3.0}
    chex.assert_trees_all_equal(tree.random_like(KEY, x, ones), {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.float32(1)})


def test_keys_become_numbers_and_the_rest_stays():
    x = {"key": KEY, "old": jax.random.PRNGKey(0), "array": jnp.ones(2), "hole": None}
    chex.assert_trees_all_equal(tree.unwrap_random_key_data(x), optax.tree.unwrap_random_key_data(x))


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("call", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_random_leaves_are_sharded_as_their_models(call, axis_type):
    mesh = jax.make_mesh((4,), ("x",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        params = {
            "rows": jax.device_put(jnp.zeros((8, 8)), jax.NamedSharding(mesh, P("x", None))),
            "columns": jax.device_put(jnp.zeros((8, 8)), jax.NamedSharding(mesh, P(None, "x"))),
        }
        drawn = call(lambda params: tree.random_like(KEY, params))(params)
        for name, leaf in drawn.items():
            assert leaf.sharding.is_equivalent_to(params[name].sharding, 2), name
