"""Low rank: what the inner optimizer sees, and what it costs."""

import math
import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import gradtx
import gradtx.interop.optax
from gradtx.testing.events import COMPILED, compiler_events
from gradtx.tree.scopes import placed

foreign: Any = optax  # another library's classes are not ours to the type checker


def gradient(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_the_state_is_as_small_as_the_subspace():
    state = gradtx.scale_by_galore(2).init({"w": jnp.zeros((100, 30)), "b": jnp.zeros(30)})
    shapes = jax.tree.map(jnp.shape, state.base_optimizer_state.mu)
    assert shapes == {"w": (2, 30), "b": (30,)}
    assert jax.tree.map(jnp.shape, state.projector) == {"w": (100, 2), "b": (1, 1)}


def test_a_gradient_of_low_rank_passes_whole():
    g = gradient((6, 2)) @ gradient((2, 5))
    tx = gradtx.low_rank(gradtx.identity(), rank=2)
    chex.assert_trees_all_close(tx.update(g, tx.init(g))[0], g, rtol=1e-4, atol=1e-5)


def test_directions_are_chosen_every_few_steps():
    tx = gradtx.low_rank(gradtx.identity(), rank=1, update_proj_gap=3)
    state = tx.init(jnp.zeros((4, 5)))
    changed = []
    for step in range(7):
        before = state.projector
        _, state = tx.update(gradient((4, 5), step), state)
        changed.append(bool(jnp.any(before != state.projector)))
    assert changed == [True, False, False, True, False, False, True]


def test_a_batch_of_matrices_is_projected_one_by_one():
    g = gradient((3, 4, 5))
    numbers = gradtx.GaLoreDimensionNumbers(1, 2)
    together = gradtx.low_rank(gradtx.identity(), 2, weight_dimension_numbers=numbers)
    alone = gradtx.low_rank(gradtx.identity(), 2)
    expected = jnp.stack([alone.update(x, alone.init(x))[0] for x in g])
    chex.assert_trees_all_close(together.update(g, together.init(g))[0], expected, rtol=1e-4, atol=1e-5)


def test_an_optimizer_that_reads_the_parameters_is_refused():
    tx = gradtx.scale_by_galore(2, base_optimizer=gradtx.adamw(0.1))
    g = gradient((4, 5))
    with pytest.raises(ValueError, match="reads the parameters"):
        tx.update(g, tx.init(g), g)


def test_one_pair_of_dimension_numbers_for_all_leaves_vectors_as_they_are():
    g = {"w": gradient((4, 5)), "b": jnp.ones(5), "s": jnp.ones(())}
    tx = gradtx.scale_by_galore(2, weight_dimension_numbers=gradtx.GaLoreDimensionNumbers(1, 0))
    listed = {"w": gradtx.GaLoreDimensionNumbers(1, 0), "b": None, "s": None}
    same = gradtx.scale_by_galore(2, weight_dimension_numbers=listed)
    chex.assert_trees_all_equal(tx.update(g, tx.init(g)), same.update(g, same.init(g)))


@pytest.mark.parametrize("numbers", [None, gradtx.GaLoreDimensionNumbers()], ids=["by default", "given"])
def test_the_parameters_may_be_one_vector(numbers):
    g = gradient((5,))
    tx = gradtx.low_rank(gradtx.identity(), 2, weight_dimension_numbers=numbers)
    chex.assert_trees_all_equal(tx.update(g, tx.init(g))[0], g)


def test_axes_that_are_not_there_are_refused():
    tx = gradtx.scale_by_galore(2, weight_dimension_numbers=gradtx.GaLoreDimensionNumbers(0, 2))
    with pytest.raises(ValueError, match=r"scale_by_galore: \['w'\] has the shape \(4, 5\)"):
        tx.init({"w": gradient((4, 5))})


@pytest.mark.parametrize("shape", [(16, 8), (8, 16), (8, 8)])
def test_on_an_explicit_mesh_every_rank_keeps_the_type_of_the_state(shape):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(jax.sharding.AxisType.Explicit,) * 2)
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("a", "b"))
    alone = {"w": gradient(shape), "b": jnp.ones(8)}
    for rank in (2, 8, 128):
        tx = gradtx.galore(0.1, rank, base_optimizer=gradtx.trace(0.9))
        expected, _ = tx.update(alone, tx.init(alone), alone)
        with jax.set_mesh(mesh):
            params = {"w": jax.device_put(alone["w"], sharding), "b": alone["b"]}
            state = tx.init(params)
            updates, new_state = tx.update(params, state, params)
            assert jax.tree.map(jax.typeof, new_state) == jax.tree.map(jax.typeof, state)
        assert jax.typeof(updates["w"]).sharding.spec == sharding.spec
        chex.assert_trees_all_close(jax.device_get(updates), jax.device_get(expected), rtol=1e-4, atol=1e-5)


def test_a_state_has_no_empty_array_and_those_of_optax_are_read():
    params = {"w": gradient((4, 5)), "b": jnp.ones(3), "s": jnp.ones(())}
    tx, theirs = gradtx.scale_by_galore(2), foreign.contrib.scale_by_galore(2)
    state, their_state = tx.init(params), theirs.init(params)
    assert all(leaf.size for leaf in jax.tree.leaves(state))  # which Orbax would refuse
    expected, _ = tx.update(params, state, params)
    converted = gradtx.interop.optax.convert_state(their_state, like=state)
    chex.assert_trees_all_equal_shapes_and_dtypes(converted, state)
    for each in (their_state, converted):
        updates, after = tx.update(params, each, params)
        chex.assert_trees_all_close(updates, expected, rtol=1e-4, atol=1e-5)
        assert jax.tree.map(jnp.shape, after.projector) == jax.tree.map(jnp.shape, each.projector)
    back = gradtx.interop.optax.convert_state(state, like=their_state)
    chex.assert_trees_all_equal_shapes_and_dtypes(back, their_state)


@pytest.mark.parametrize("number", [8, 12])
@pytest.mark.parametrize("spec", [P(("a", "b")), P("a", "b")], ids=str)
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_of_split_matrices_each_device_decomposes_its_share(kind, spec, number):
    sharding = NamedSharding(jax.make_mesh((4, 2), ("a", "b"), axis_types=(kind,) * 2), spec)
    tx, alone = gradtx.galore(0.1, 2), [gradient((16, 8), seed) for seed in range(number)]

    @jax.jit
    def step(g, state):
        with placed(g, lambda place, _: place._replace(sharding=sharding)):
            return tx.update(g, state, g)

    g, state, expected_state = jax.device_put(alone, sharding), tx.init(jax.device_put(alone, sharding)), tx.init(alone)
    before = jax.tree.map(lambda x: x.sharding, state)
    text = step.lower(g, state).compile().as_text() or ""
    sizes = [int(size) for size in re.findall(r"= \(f32\[(\d+),16,8\].*lapack_sgesdd", text)]
    assert sum(sizes) == text.count('"lapack_sgesdd_ffi"') == math.ceil(number / 8)
    for k in range(3):
        with compiler_events(COMPILED) as compiled:
            updates, state = step(g, state)
        assert k == 0 or compiled == []
        expected, expected_state = jax.jit(tx.update)(alone, expected_state, alone)
        chex.assert_trees_all_close(jax.device_get(updates), expected, rtol=0, atol=1e-6)
        assert all(u.sharding.is_equivalent_to(sharding, 2) for u in updates)
    assert jax.tree.all(jax.tree.map(lambda x, old: x.sharding.is_equivalent_to(old, x.ndim), state, before))


def test_a_batch_of_matrices_is_divided_and_those_that_are_whole_are_not():
    mesh = jax.make_mesh((8,), ("a",), axis_types=(AxisType.Auto,))
    specs = {"stack": P(None, "a"), "row": P(), "vector": P("a")}
    layout = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
    alone = {"stack": gradient((3, 16, 8)), "row": gradient((16, 4)), "vector": gradient((8,))}
    tx = gradtx.low_rank(gradtx.identity(), 2, weight_dimension_numbers=gradtx.GaLoreDimensionNumbers(-2, -1))
    params = jax.device_put(alone, layout)
    chex.assert_trees_all_close(
        jax.device_get(tx.update(params, tx.init(params))[0]), tx.update(alone, tx.init(alone))[0], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("shape", [(6, 3), (3, 6)])
def test_of_the_short_side_the_state_is_larger_and_the_projector_smaller(shape):
    tx = gradtx.low_rank(gradtx.trace(0.9), 2, side="short")
    g = gradient(shape)
    updates, state = tx.update(g, tx.init(g))
    assert jnp.shape(state.projector) == (3, 2)
    assert sorted(jnp.shape(state.base_optimizer_state.trace)) == [2, 6]
    left, values, right = np.linalg.svd(g, full_matrices=False)
    chex.assert_trees_all_close(updates, (left[:, :2] * values[:2]) @ right[:2], rtol=1e-4, atol=1e-5)
