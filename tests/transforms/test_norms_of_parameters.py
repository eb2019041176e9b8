"""Norms that are kept, braked, or a measure for updates: zeros, extremes, low precision."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx


def moved(tx, p, *steps):
    """The parameters after some updates."""
    state = tx.init(p)
    for u in steps:
        updates, state = tx.update(u, state, p)
        p = gradtx.apply_updates(p, updates)
    return p


def test_a_norm_is_kept_by_a_step_of_any_size():
    p = jnp.asarray([3.0, -4.0])
    for size in (1e-30, 1e-3, 1.0, 1e30):
        q = moved(gradtx.keep_norm(), p, size * jnp.asarray([1.0, 2.0]))
        np.testing.assert_allclose(jnp.linalg.norm(q), 5.0, rtol=1e-6)
    np.testing.assert_allclose(q, np.sqrt(5) * np.asarray([1.0, 2.0]), rtol=1e-6)  # of the longest the direction is left


@pytest.mark.parametrize(("u", "norm"), [(1.0, 1.25), (-0.5, 0.6)])
def test_growth_and_shrinkage_are_braked_apart(u, norm):
    q = moved(gradtx.keep_norm(outward=0.25, inward=0.8), jnp.asarray([1.0, 0.0]), jnp.asarray([u, 0.0]))
    np.testing.assert_allclose(q, [norm, 0.0], rtol=1e-6)


def test_without_a_brake_updates_are_as_they_were():
    p, u = jnp.asarray([3.0, -4.0]), jnp.asarray([1e-12, 7e-13])
    tx = gradtx.keep_norm(1.0, 1.0)
    np.testing.assert_allclose(tx.update(u, tx.init(p), p)[0], u, rtol=1e-6)


def test_an_array_that_begins_at_zero_moves_freely():
    u = jnp.asarray([1.0, 2.0])
    np.testing.assert_array_equal(moved(gradtx.keep_norm(), jnp.zeros(2), u, u, u), 3 * u)


def test_a_step_to_zero_is_not_made():
    p = jnp.asarray([3.0, -4.0])
    np.testing.assert_array_equal(moved(gradtx.keep_norm(), p, -p), p)


def test_rounding_of_bfloat16_does_not_add_up():
    p = jax.random.normal(jax.random.key(0), (64,)).astype(jnp.bfloat16)
    steps = 0.05 * jax.random.normal(jax.random.key(1), (400, 64))
    q = moved(jax.tree.map(jax.jit, gradtx.keep_norm()), p, *steps.astype(jnp.bfloat16))
    norms = [float(jnp.linalg.norm(x.astype(jnp.float32))) for x in (p, q)]
    assert q.dtype == jnp.bfloat16
    assert norms[1] == pytest.approx(norms[0], rel=2e-3)


def test_each_layer_of_a_stack_keeps_its_own_norm():
    p = jnp.asarray([[3.0, 4.0], [0.0, 1.0]])
    q = moved(gradtx.stacked(gradtx.keep_norm(), True), p, jnp.ones((2, 2)))
    np.testing.assert_allclose(jnp.linalg.norm(q, axis=1), [5.0, 1.0], rtol=1e-6)


def test_holes_stay_and_what_is_masked_moves_freely():
    p = {"a": jnp.asarray([3.0, 4.0]), "b": jnp.asarray(1.0), "hole": None}
    u = {"a": jnp.asarray([3.0, 4.0]), "b": jnp.asarray(1.0), "hole": None}
    tx = gradtx.masked(gradtx.keep_norm(), {"a": True, "b": False, "hole": False})
    expected = {"a": p["a"], "b": jnp.asarray(2.0), "hole": None}
    chex.assert_trees_all_close(moved(tx, p, u), expected)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
    ("axis", "expected"), [(None, [[15.0, 0.0], [20.0, 0.0]]), (0, [[3.0, 0.0], [4.0, 0.0]]), (1, [[15.0, 0.0], [20.0, 0.0]])]
)
def test_short_updates_grow_to_a_fraction_of_their_parameters(axis, expected, dtype):
    u, p = jnp.asarray([[3.0, 0.0], [4.0, 0.0]], dtype), jnp.asarray([[0.0, 30.0], [0.0, 40.0]], dtype)
    tx = gradtx.floor_update_ratio(0.5, axis=axis)
    np.testing.assert_allclose(tx.update(u, tx.init(p), p)[0].astype(jnp.float32), expected, rtol=1e-6)


def test_long_updates_and_zeros_stay():
    tx = gradtx.floor_update_ratio(0.5)
    u, p = {"long": jnp.ones(2), "zero": jnp.zeros(2), "of zero": jnp.ones(2)}, {"long": jnp.ones(2), "zero": jnp.ones(2)}
    p["of zero"] = jnp.zeros(2)
    chex.assert_trees_all_equal(tx.update(u, tx.init(p), p)[0], u)


def test_a_ratio_that_overflows_makes_no_nan():
    u, p = jnp.asarray([1e-37, 0.0]), jnp.asarray([1e3, 0.0])
    tx = gradtx.floor_update_ratio(0.5)
    np.testing.assert_allclose(tx.update(u, tx.init(p), p)[0], [500.0, 0.0], rtol=1e-5)


@pytest.mark.parametrize("make", [gradtx.keep_norm, lambda: gradtx.floor_update_ratio(0.1)])
def test_the_parameters_are_asked_for_by_name(make):
    tx, p = make(), jnp.ones(2)
    with pytest.raises(ValueError, match=r"(keep_norm|floor_update_ratio) reads the parameters"):
        tx.update(p, tx.init(p))
