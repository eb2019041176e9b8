"""Clipping, beyond what the oracles and the laws see."""

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import gradtx
from gradtx.transforms.clipping import adaptive_grad_clip, clip, clip_by_global_norm, unitwise_clip, unitwise_norm


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("spec", [P("x"), P(None, "x")])
def test_adaptive_clipping_keeps_the_sharding_and_the_numbers(spec, axis_type):
    g, p, tx = jnp.arange(1.0, 33.0).reshape(4, 8), jnp.ones((4, 8)), adaptive_grad_clip(0.1)
    expected, _ = tx.update(g, tx.init(p), p)
    mesh = jax.make_mesh((4,), ("x",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        g, p = jax.device_put((g, p), jax.NamedSharding(mesh, spec))
        got, _ = jax.jit(tx.update)(g, tx.init(p), p)
    assert got.sharding.is_equivalent_to(g.sharding, 2)
    chex.assert_trees_all_close(jax.device_get(got), jax.device_get(expected), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "norm"),
    [((), 1.0), ((4,), 2.0), ((4, 1), 2.0), ((9, 4), 3.0), ((4, 2, 3), 2.0), ((2, 2, 4, 5), 4.0)],
    ids=str,
)
def test_a_unit_is_what_feeds_one_output(shape, norm):
    chex.assert_trees_all_close(unitwise_norm(jnp.ones(shape)), jnp.full(shape, norm))


def test_units_may_be_chosen_by_axis():
    chex.assert_trees_all_close(unitwise_norm(jnp.ones((9, 4)), axis=1), jnp.full((9, 4), 2.0))


def test_a_gradient_within_the_norm_is_returned_exactly():
    g = jnp.asarray([[0.1], [-1e-30]])
    chex.assert_trees_all_equal(unitwise_clip(unitwise_norm(g), jnp.ones((2, 1)), g), g)
    chex.assert_trees_all_equal(unitwise_clip(jnp.zeros((2, 1)), jnp.full((2, 1), 1e-9), 0 * g), 0 * g)


def test_parameters_at_zero_can_move():
    g, p, tx = jnp.full(4, 10.0), jnp.zeros(4), adaptive_grad_clip(0.1, eps=0.01)
    chex.assert_trees_all_close(tx.update(g, tx.init(p), p)[0], jnp.full(4, 0.0005))


def test_a_norm_that_is_not_finite_passes_for_others_to_see():
    tx = clip_by_global_norm(1.0)
    for bad in (jnp.inf, jnp.nan):
        g = {"a": jnp.asarray([bad, 1.0]), "b": jnp.asarray(3.0)}
        chex.assert_trees_all_equal(tx.update(g, tx.init(g))[0], g)


@pytest.mark.parametrize("bound", [0.0, -1.0])
def test_a_bound_that_lets_nothing_pass_is_refused(bound):
    with pytest.raises(ValueError, match=f"clip: max_delta must be above 0, got {bound}"):
        clip(bound)
    with pytest.raises(ValueError, match="clip_by_global_norm: max_norm must be above 0"):
        clip_by_global_norm(bound)
    with pytest.raises(ValueError, match="adaptive_grad_clip: clipping must be above 0"):
        adaptive_grad_clip(bound)


def test_adaptive_clipping_reads_the_parameters():
    tx = adaptive_grad_clip(0.1)
    with pytest.raises(ValueError, match="adaptive_grad_clip reads the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_each_array_by_itself_is_clipped_to_a_norm():
    g = {"large": jnp.array([3.0, 4.0]), "small": jnp.array([[0.3], [0.4]])}
    tx = gradtx.clip_by_block_norm(1.0)
    clipped, _ = tx.update(g, tx.init(g))
    chex.assert_trees_all_close(clipped, {"large": jnp.array([0.6, 0.8]), "small": g["small"]})
