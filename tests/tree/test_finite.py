"""`all_finite`: one answer for a tree, and for all devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from gradtx import tree


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.complex64])
def test_one_entry_that_is_not_finite_is_found(dtype, bad):
    x = jnp.ones(2**17, dtype)  # large: there XLA's maximum on the CPU loses a NaN
    assert tree.all_finite({"a": x, "b": jnp.ones((), dtype)})
    assert not tree.all_finite({"a": x.at[500].set(bad), "b": jnp.ones((), dtype)})
    if dtype == jnp.complex64:
        assert not tree.all_finite(x.at[500].set(jax.lax.complex(0.0, bad)))


def test_what_holds_no_float_is_finite():
    for each in ({}, None, {"hole": None}, jnp.zeros((0, 3)), jnp.arange(3), [3, 2.0]):
        assert tree.all_finite(each)


@pytest.mark.parametrize("check_vma", [True, False])
def test_within_shard_map_all_devices_have_the_answer_of_the_whole(check_vma):
    mesh = jax.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,))
    specs = {"split": P("x"), "shared": P()}

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=(specs,), out_specs=P("x"), check_vma=check_vma)
    def answers(tree_):
        return tree.all_finite(tree_, axis_name="x")[None]

    good = {"split": jnp.ones(4), "shared": jnp.ones(3)}
    np.testing.assert_array_equal(answers(good), True)
    np.testing.assert_array_equal(answers({**good, "split": jnp.ones(4).at[1].set(jnp.nan)}), False)
    np.testing.assert_array_equal(answers({**good, "shared": jnp.ones(3).at[1].set(jnp.inf)}), False)
