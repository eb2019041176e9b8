"""`in_eigenbasis`: rotations there and back, what is carried over when bases change, and what is not rotated."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.testing.events import LOWERED, compiler_events
from gradtx.wrappers.parameter_shaped import map_parameter_shaped


def gradients(step, shapes):
    rng = np.random.default_rng(step)
    return {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}


def trained(tx, shapes, steps=6, gradients=gradients, place=lambda x: x):
    params = {name: place(jnp.ones(shape)) for name, shape in shapes.items()}
    state, update = tx.init(params), jax.jit(tx.update)
    updates = params
    for step in range(steps):
        updates, state = update(jax.tree.map(place, gradients(step, shapes)), state, params)
    return updates, state


def test_what_is_linear_is_the_same_in_any_basis():
    """A mean commutes with rotations, as long as it is rotated whenever the basis changes."""
    shapes = {"matrix": (3, 5), "cube": (2, 3, 4), "vector": (4,), "scalar": ()}
    inner = gradtx.ema(0.9, debias=False)
    tx = gradtx.in_eigenbasis(inner, every=2, rotate=("ema",), start="identity")
    updates, _ = trained(tx, shapes)
    expected, _ = trained(inner, shapes)
    chex.assert_trees_all_close(updates, expected, atol=1e-6)


def test_bases_are_orthogonal_eigenvectors_in_order():
    tx = gradtx.in_eigenbasis(gradtx.scale_by_adam(), every=1, basis="eigh")
    _, state = trained(tx, {"w": (4, 6)})
    for statistics, basis in zip(state.statistics["w"], state.bases["w"], strict=True):
        np.testing.assert_allclose(basis.T @ basis, np.eye(len(basis)), atol=1e-5)
        diagonal = basis.T @ statistics @ basis
        np.testing.assert_allclose(diagonal, np.diag(np.diag(diagonal)), atol=1e-5)
        eigenvalues = np.diag(diagonal)
        np.testing.assert_allclose(eigenvalues, np.sort(eigenvalues)[::-1], atol=1e-6)


def test_the_qr_iteration_comes_to_the_eigenvectors():
    fixed = np.diag([3.0, 2.0, 1.0]).astype(np.float32) @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    tx = gradtx.in_eigenbasis(gradtx.identity(), every=1)
    _, state = trained(tx, {"w": (3, 3)}, 40, lambda step, shapes: {"w": jnp.asarray(fixed, jnp.float32)})
    np.testing.assert_allclose(np.abs(state.bases["w"][0]), np.eye(3), atol=1e-3)


def test_the_first_gradients_make_no_step_unless_it_begins_at_the_coordinates():
    shapes = {"w": (2, 3)}
    skipped, state = trained(gradtx.in_eigenbasis(gradtx.scale_by_adam()), shapes, 1)
    assert not np.any(skipped["w"])
    assert int(gradtx.tree.get(state, "ScaleByAdamState.count")) == 0
    taken, _ = trained(gradtx.in_eigenbasis(gradtx.scale_by_adam(), start="identity"), shapes, 1)
    plain, _ = trained(gradtx.scale_by_adam(), shapes, 1)
    chex.assert_trees_all_close(taken, plain, atol=1e-6)


def test_a_mask_says_what_is_rotated():
    shapes = {"embedding": (5, 3), "w": (4, 4), "b": (4,)}
    tx = gradtx.in_eigenbasis(gradtx.scale_by_adam(), mask=gradtx.not_matching("embedding", "b"), start="identity", every=1)
    updates, state = trained(tx, shapes)
    plain, _ = trained(gradtx.scale_by_adam(), shapes)
    chex.assert_trees_all_close(updates["embedding"], plain["embedding"], atol=1e-6)
    assert not jax.tree.leaves((state.bases["embedding"], state.bases["b"]))
    assert np.abs(updates["w"] - plain["w"]).max() > 0.01


def test_a_long_axis_is_not_rotated():
    _, state = trained(gradtx.in_eigenbasis(gradtx.scale_by_adam(), max_size=4), {"w": (4, 5)})
    assert [basis.shape for basis in state.bases["w"]] == [(4, 4), (1, 1)]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("kind", ["zero", "of rank 1", "tiny", "huge"])
@pytest.mark.parametrize("basis", ["qr", "eigh"])
def test_strange_gradients_stay_finite(dtype, kind, basis):
    rng = np.random.default_rng(0)

    def gradient(step):
        matrix = rng.normal(size=(4, 6))
        strange = {
            "zero": 0 * matrix,
            "of rank 1": np.outer(np.arange(4), matrix[0]),
            "tiny": 1e-30 * matrix,
            "huge": 1e30 * matrix,
        }
        return jnp.asarray(strange[kind], dtype)

    tx = gradtx.in_eigenbasis(gradtx.scale_by_adam(), every=2, basis=basis)  # pyright: ignore[reportArgumentType]
    state, update = tx.init(jnp.zeros((4, 6), dtype)), jax.jit(tx.update)
    for step in range(200):
        updates, state = update(gradient(step), state)
        chex.assert_tree_all_finite((updates, state))


def test_a_gradient_that_is_not_finite_stays_out_of_the_bases():
    tx = gradtx.in_eigenbasis(gradtx.scale_by_adam(), every=1)
    _, state = trained(tx, {"w": (3, 3)})
    _, after = tx.update({"w": jnp.full((3, 3), jnp.nan)}, state, None)
    chex.assert_trees_all_equal(after.statistics, state.statistics)
    chex.assert_tree_all_finite(after.bases)


def test_a_run_compiles_once():
    tx = gradtx.soap(1e-2, every=2)
    params = {"w": jnp.ones((4, 4))}
    state, step = tx.init(params), jax.jit(tx.update)
    with compiler_events(LOWERED) as events:
        for _ in range(5):
            _, state = step(params, state, params)
    assert len(events) == 1


def test_it_composes():
    """SOAP-Muon and SOAP-Lion are one line; states in 8 bits keep their bases."""
    shapes = {"w": (64, 64)}
    muon = gradtx.chain(gradtx.in_eigenbasis(gradtx.scale_by_adam()), gradtx.scale_by_muon())
    lion = gradtx.in_eigenbasis(gradtx.scale_by_lion())
    small = gradtx.quantized(gradtx.in_eigenbasis(gradtx.scale_by_adam(), every=2), min_size=1024)
    for tx in (muon, lion, small):
        updates, state = trained(tx, shapes)
        chex.assert_tree_all_finite(updates)
    exact, _ = trained(gradtx.in_eigenbasis(gradtx.scale_by_adam(), every=2), shapes)
    updates, state = trained(small, shapes)
    assert np.linalg.norm(updates["w"] - exact["w"]) < 0.1 * np.linalg.norm(exact["w"])
    assert all(isinstance(basis, jax.Array) for basis in gradtx.tree.get(state, "bases")["w"])


@pytest.mark.filterwarnings("ignore:sharded. of the state")
@pytest.mark.skipif(jax.device_count() < 2, reason="one device")
def test_a_state_that_is_divided_among_devices_gives_the_same_updates():
    """Of square matrices, whose statistics have no null space in which eigenvectors are arbitrary."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    shapes = {"w": (4, 4), "k": (2, 3, 4), "b": (4,)}
    copies = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    tx = gradtx.in_eigenbasis(gradtx.scale_by_adam(), every=2)
    divided = gradtx.sharded(tx, over="data", layout=copies)
    expected, _ = trained(tx, shapes)
    updates, state = trained(divided, shapes, place=lambda x: jax.device_put(x, copies))
    chex.assert_trees_all_close(updates, expected, atol=1e-4)
    assert gradtx.tree.get(state, "mu")["w"].addressable_shards[0].data.shape == (2, 4)


def test_parts_of_a_state_are_known_by_structure_and_shape():
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    state = gradtx.chain(gradtx.scale_by_adam(), gradtx.masked(gradtx.trace(0.9), {"w": True, "b": False})).init(params)
    seen = []
    map_parameter_shaped(lambda field, part: seen.append(field) or part, state, params)
    assert seen == ["mu", "nu", "trace"]


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="in_eigenbasis: every must be at least 1, got 0"):
        gradtx.in_eigenbasis(gradtx.identity(), every=0)
    with pytest.raises(ValueError, match=r"in_eigenbasis: decay must be"):
        gradtx.in_eigenbasis(gradtx.identity(), decay=1.0)
    with pytest.raises(ValueError, match="in_eigenbasis: basis must be"):
        gradtx.in_eigenbasis(gradtx.identity(), basis="svd")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match='in_eigenbasis: refresh="before" needs start="identity"'):
        gradtx.in_eigenbasis(gradtx.identity(), refresh="before")
    with pytest.raises(ValueError, match='in_eigenbasis: reorder=False needs basis="eigh"'):
        gradtx.in_eigenbasis(gradtx.identity(), reorder=False)


def test_leaves_take_turns():
    """Each leaf changes its bases at the steps of its own, and what is linear is still the same in any basis."""
    shapes = {"a": (4, 4), "b": (4, 4), "c": (3, 4)}
    tx = gradtx.in_eigenbasis(gradtx.ema(0.9, debias=False), every=3, rotate=("ema",), stagger=True)
    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    state, update, changed = tx.init(params), jax.jit(tx.update), []
    means = {name: np.zeros(shape) for name, shape in shapes.items()}
    for step in range(7):
        g = gradients(step, shapes)
        updates, new = update(g, state)
        means = {name: 0.9 * means[name] + (0.1 * np.asarray(g[name]) if step else 0) for name in shapes}
        chex.assert_trees_all_close(updates, jax.tree.map(jnp.float32, means), atol=1e-5)
        changed.append("".join(name for name in shapes if np.any(new.bases[name][0] != state.bases[name][0])))
        state = new
    assert changed == ["abc", "c", "b", "a", "c", "b", "a"]


def test_bases_do_not_depend_on_turns_where_there_is_one_leaf():
    def updates(stagger):
        tx = gradtx.in_eigenbasis(gradtx.scale_by_adam(), every=3, stagger=stagger)
        return trained(tx, {"w": (4, 5)}, 8)

    chex.assert_trees_all_close(updates(True), updates(False), atol=1e-6)
