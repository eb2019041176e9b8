"""Averages of gradients, against Optax in float64 and against their definition in low precision."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradtx import tree

UPDATES = {"a": jnp.array([0.5, -2.0, 0.0]), "b": jnp.array(-1.5)}
MOMENTS = {"a": jnp.array([1.0, 2.0, 3.0]), "b": jnp.array(0.25)}


def in_float64(x):
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), x)


@pytest.mark.parametrize(
    ("name", "number"),
    [("update_moment", order) for order in (1, 2, 3)]
    + [("update_moment_per_elem_norm", order) for order in (2, 4)]
    + [("update_infinity_moment", eps) for eps in (0.0, 1e-3)],
)
def test_equals_optax(x64, name, number):
    arguments = in_float64(UPDATES), in_float64(MOMENTS), 0.9, number
    chex.assert_trees_all_close(getattr(tree, name)(*arguments), getattr(optax.tree, name)(*arguments), rtol=1e-15)


@pytest.mark.parametrize("order", [1, 3])
def test_odd_powers_are_those_of_the_modulus(order):
    # Those of Optax have the sign of a real update, though not that of a complex one.
    ours = tree.update_moment_per_elem_norm(UPDATES, MOMENTS, 0.9, order)
    chex.assert_trees_all_close(ours, tree.update_moment(jax.tree.map(jnp.abs, UPDATES), MOMENTS, 0.9, order), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "number"),
    [("update_moment_per_elem_norm", 1), ("update_moment_per_elem_norm", 2), ("update_infinity_moment", 1e-3)],
)
def test_equals_optax_on_complex_updates(name, number):
    arguments = [jnp.array([3 + 4j, 1j])], [jnp.array([1.0, 2.0])], 0.9, number
    ours = getattr(tree, name)(*arguments)
    with jax.numpy_dtype_promotion("standard"):
        chex.assert_trees_all_close(ours, getattr(optax.tree, name)(*arguments), rtol=1e-6)
    assert ours[0].dtype == jnp.float32


def test_bias_correction_equals_optax(x64):
    for count in (1, 2, 1000):
        ours = tree.bias_correction(in_float64(MOMENTS), 0.9, count)
        chex.assert_trees_all_close(ours, optax.tree.bias_correction(in_float64(MOMENTS), 0.9, count), rtol=1e-14)


def test_moments_keep_their_dtype_whatever_the_updates():
    updates, moments = tree.cast(UPDATES, jnp.bfloat16), tree.zeros_like(UPDATES)
    moments = tree.update_moment(updates, moments, 0.999, 2)
    chex.assert_trees_all_equal_dtypes(moments, UPDATES)
    chex.assert_trees_all_close(moments, jax.tree.map(lambda g: 0.001 * g**2, UPDATES), rtol=1e-6)
    corrected = tree.bias_correction(tree.cast(moments, jnp.bfloat16), 0.999, jnp.array(1))
    assert tree.dtype(corrected) == jnp.bfloat16


def test_where_the_updates_have_a_hole_the_moment_stays():
    updates = {"a": UPDATES["a"], "b": tree.MaskedNode()}
    chex.assert_trees_all_equal(tree.update_moment(updates, MOMENTS, 0.9, 1)["b"], MOMENTS["b"])
    chex.assert_trees_all_equal(tree.update_moment({"a": None}, {"a": None}, 0.9, 1), {"a": None})


def test_the_decay_may_be_traced():
    moments = jax.vmap(lambda decay: tree.update_moment(UPDATES, MOMENTS, decay, 1))(jnp.array([0.9, 0.5]))
    chex.assert_trees_all_close(jax.tree.map(lambda m: m[1], moments), tree.update_moment(UPDATES, MOMENTS, 0.5, 1), rtol=1e-6)


def test_a_second_call_outside_of_jit_compiles_nothing():
    for _ in range(2):
        tree.update_moment(UPDATES, MOMENTS, 0.9, 2)
        tree.bias_correction(MOMENTS, 0.9, 3)
    with jax.no_tracing():
        tree.update_moment(UPDATES, MOMENTS, 0.8, 2)
        tree.bias_correction(MOMENTS, 0.9, 4)


def test_errors_name_the_function_and_the_path():
    with pytest.raises(ValueError, match=r"update_moment: updates\['b'\] has shape \(\), but state m\['b'\] has shape \(2,\)"):
        tree.update_moment(UPDATES, {"a": MOMENTS["a"], "b": jnp.ones(2)}, 0.9, 2)
