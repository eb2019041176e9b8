"""Casts, and the dtype of a tree."""

import itertools
import re

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from tables import table

from gradtx import tree
from gradtx.tree.dtypes import working_dtype

DTYPES = [jnp.bfloat16, jnp.float16, jnp.float32, jnp.complex64, jnp.int32, jnp.uint32, jnp.int8]


@pytest.mark.parametrize("handler", [None, "promote", "highest", "lowest"])
@table("pair", itertools.product(DTYPES, DTYPES))
def test_the_dtype_of_a_tree_is_the_one_that_optax_finds(pair, handler):
    one, other = pair
    x = {"a": jnp.ones(2, one), "b": [jnp.ones((), other), None]}
    with jax.numpy_dtype_promotion("standard"):
        try:
            expected = optax.tree.dtype(x, handler)
        except ValueError:
            expected = None
    if expected is None:
        with pytest.raises(ValueError, match="dtype: leaves have several dtypes"):
            tree.dtype(x, handler)
    else:
        assert tree.dtype(x, handler) == expected


def test_an_empty_tree_has_the_default_dtype(x64):
    assert tree.dtype({}) == jnp.float64
    with jax.enable_x64(False):
        assert tree.dtype({"a": None}, "highest") == jnp.float32


def test_several_dtypes_are_named_with_the_first_leaf_of_each():
    x = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.float16), "c": jnp.ones(2, jnp.bfloat16)}
    message = (
        "dtype: leaves have several dtypes, bfloat16 at ['a'], float16 at ['b']; "
        'choose one with "promote", "highest" or "lowest".'
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        tree.dtype(x)
    with pytest.raises(ValueError, match=r"bfloat16 at \['a'\], float16 at \['b'\]; none of them is the highest"):
        tree.dtype(x, "highest")
    with pytest.raises(ValueError, match='mixed_dtype_handler must be None, "promote", "highest" or "lowest", got \'max\''):
        tree.dtype(x, "max")


def test_casts_leave_holes_and_take_numbers():
    holes = {"a": None, "b": tree.MaskedNode(), "c": 1.0}
    assert tree.cast(holes, None) is holes
    chex.assert_trees_all_equal(tree.cast(holes, jnp.float16), {"a": None, "b": tree.MaskedNode(), "c": jnp.float16(1)})
    like = {"a": jnp.ones(3), "b": jnp.ones(3), "c": jnp.arange(2)}
    chex.assert_trees_all_equal_dtypes(tree.cast_like(holes, like)["c"], jnp.int32(1))


def test_numbers_and_keys_do_not_widen_the_working_dtype():
    assert working_dtype([1.0, 2, jnp.ones(2, jnp.bfloat16), jax.random.key(0)]) == jnp.float32
    with jax.enable_x64(True):
        assert working_dtype([jnp.ones(2, jnp.float32), jax.ShapeDtypeStruct((), jnp.int32)]) == jnp.float32
        assert working_dtype([jnp.ones(2, jnp.float32), jnp.ones(2, jnp.complex128)]) == jnp.float64
