"""`scale_by_shampoo`: roots, blocks, turns, and what has no statistics."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.testing.events import LOWERED, compiler_events


def gradients(step, shapes, dtype=jnp.float32):
    rng = np.random.default_rng(step)
    return {name: jnp.asarray(rng.normal(size=shape), dtype) for name, shape in shapes.items()}


def trained(tx, shapes, steps=4, gradients=gradients, place=lambda x: x):
    params = {name: place(jnp.ones(shape)) for name, shape in shapes.items()}
    state, update, updates = tx.init(params), jax.jit(tx.update), params
    for step in range(steps):
        updates, state = update(jax.tree.map(place, gradients(step, shapes)), state, params)
    return updates, state


def inverse_root(matrix, exponent):
    eigenvalues, vectors = np.linalg.eigh(matrix)
    return vectors * eigenvalues**-exponent @ np.conj(vectors.T)


@pytest.mark.parametrize("root", ["eigh", "newton"])
@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_each_axis_is_multiplied_by_an_inverse_root(root, dtype):
    """Of complex numbers that of the conjugate along the columns, as for any unitary change of coordinates."""
    rng = np.random.default_rng(0)
    real, imaginary = rng.normal(size=(2, 3, 3))
    g = np.asarray(real + 1j * imaginary if np.iscomplexobj(dtype(0)) else real, dtype)
    tx = gradtx.scale_by_shampoo(eps=0.1, root=root)
    updates, _ = tx.update(jnp.asarray(g), tx.init(jnp.asarray(g)), None)
    rows, columns = g @ np.conj(g.T), g.T @ np.conj(g)
    expected = inverse_root(rows + 0.1 * np.eye(3), 0.25) @ g @ inverse_root(columns + 0.1 * np.eye(3), 0.25).T
    np.testing.assert_allclose(updates, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("exponent", "of_matrix", "of_vector"),
    [(None, 1 / 4, 1 / 2), (0.3, 0.3, 0.3), ({2: 0.5}, 0.5, 0.5), ({1: 1.0}, 1 / 4, 1.0)],
)
def test_exponents_are_by_the_number_of_axes(exponent, of_matrix, of_vector):
    """Axes of size 1 do not count: a column is a vector."""
    diagonal, vector = np.array([1.0, 2.0]), np.array([[3.0], [4.0]])
    params = {"matrix": jnp.diag(jnp.asarray(diagonal)), "vector": jnp.asarray(vector)}
    tx = gradtx.scale_by_shampoo(eps=1.0, exponent=exponent)
    updates, _ = tx.update(params, tx.init(params), None)
    np.testing.assert_allclose(updates["matrix"], np.diag(diagonal * (diagonal**2 + 1) ** (-2 * of_matrix)), atol=1e-5)
    np.testing.assert_allclose(updates["vector"], vector * 26.0**-of_vector, rtol=1e-4)


def test_blocks_are_as_leaves_of_their_own():
    shape, blocks = (7, 4), [np.s_[:3, :3], np.s_[:3, 3:], np.s_[3:6, :3], np.s_[3:6, 3:], np.s_[6:, :3], np.s_[6:, 3:]]
    options: dict[str, Any] = {"decay": 0.9, "eps": 0.1, "exponent": 0.25}
    whole, state = trained(gradtx.scale_by_shampoo(gradtx.ema(0.9), max_size=3, **options), {"w": shape})
    for block, place in zip(state.roots["w"], blocks, strict=True):
        g = [np.asarray(gradients(step, {"w": shape})["w"][place]) for step in range(4)]
        weights = [0.1 * 0.9 ** (3 - step) / (1 - 0.9**4) for step in range(4)]
        rows = sum(w * x @ x.T for w, x in zip(weights, g, strict=True)) + 0.1 * np.eye(len(g[0]))
        np.testing.assert_allclose(block[0], inverse_root(rows, 0.25), rtol=1e-4, atol=1e-5)
        mean = sum(w * x for w, x in zip(weights, g, strict=True))
        np.testing.assert_allclose(whole["w"][place], block[0] @ mean @ block[1], rtol=1e-4, atol=1e-5)


def test_a_mask_says_what_has_statistics():
    shapes = {"w": (3, 4), "b": (4,), "scalar": ()}
    mean = gradtx.ema(0.9)
    updates, state = trained(gradtx.scale_by_shampoo(mean, mask=gradtx.not_matching("b")), {"w": (3, 4), "b": (4,)})
    plain, _ = trained(mean, {"w": (3, 4), "b": (4,)})
    np.testing.assert_array_equal(updates["b"], plain["b"])
    assert not jax.tree.leaves(state.statistics["b"])
    updates, state = trained(gradtx.scale_by_shampoo(mean), shapes)
    plain, _ = trained(mean, shapes)
    np.testing.assert_array_equal(updates["scalar"], plain["scalar"])
    assert state.statistics["b"][0][0].shape == (4, 4)


def test_before_the_first_roots_nothing_is_multiplied():
    shapes = {"w": (3, 4)}
    for steps, is_same in ((2, True), (3, False)):
        updates, _ = trained(gradtx.scale_by_shampoo(every=3), shapes, steps)
        assert np.array_equal(updates["w"], gradients(steps - 1, shapes)["w"]) == is_same


def test_leaves_take_turns():
    shapes = {"a": (4, 4), "b": (4, 4), "c": (3, 4)}
    tx = gradtx.scale_by_shampoo(every=3, stagger=True)
    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    state, update, changed = tx.init(params), jax.jit(tx.update), []
    for step in range(8):
        _, new = update(gradients(step, shapes), state)
        changed.append("".join(name for name in shapes if np.any(new.roots[name][0][0] != state.roots[name][0][0])))
        state = new
    assert changed == ["", "", "abc", "c", "b", "a", "c", "b"]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("kind", ["zero", "of rank 1", "tiny", "huge"])
@pytest.mark.parametrize("options", [{}, {"root": "newton"}, {"kl": True, "decay": 0.9}, {"eps": 0.0}], ids=str)
def test_strange_gradients_stay_finite(dtype, kind, options):
    rng = np.random.default_rng(0)

    def gradient():
        matrix = rng.normal(size=(4, 6))
        strange = {
            "zero": 0 * matrix,
            "of rank 1": np.outer(np.arange(4), matrix[0]),
            "tiny": 1e-30 * matrix,
            "huge": 1e30 * matrix,
        }
        return jnp.asarray(strange[kind], dtype)

    tx = gradtx.grafted(gradtx.scale_by_shampoo(gradtx.ema(0.9), every=2, **options), gradtx.scale_by_adam())
    state, update = tx.init(jnp.zeros((4, 6), dtype)), jax.jit(tx.update)
    for _ in range(200):
        updates, state = update(gradient(), state)
        chex.assert_tree_all_finite((updates, state))


def test_a_gradient_that_is_not_finite_stays_out_of_the_roots():
    tx = gradtx.scale_by_shampoo()
    _, state = trained(tx, {"w": (3, 3)})
    _, after = tx.update({"w": jnp.full((3, 3), jnp.nan)}, state, None)
    chex.assert_trees_all_equal((after.statistics, after.roots), (state.statistics, state.roots))


def test_a_root_that_fails_leaves_the_last_one():
    """Statistics of 0 without eps have none."""
    tx = gradtx.scale_by_shampoo(decay=0.0, eps=0.0)
    _, state = trained(tx, {"w": (3, 3)})
    _, after = tx.update({"w": jnp.zeros((3, 3))}, state, None)
    assert not np.any(after.statistics["w"][0][0])
    chex.assert_trees_all_equal(after.roots, state.roots)


def test_a_run_compiles_once():
    tx = gradtx.distributed_shampoo(1e-2, grafting=gradtx.scale_by_adam(), every=2)
    params = {"w": jnp.ones((4, 4))}
    state, step = tx.init(params), jax.jit(tx.update)
    with compiler_events(LOWERED) as events:
        for _ in range(5):
            _, state = step(params, state, params)
    assert len(events) == 1


def test_small_states_keep_their_roots():
    shapes = {"w": (64, 64)}
    tx = gradtx.grafted(gradtx.scale_by_shampoo(gradtx.ema(0.9), eps=1e-3, every=2), gradtx.scale_by_adam())
    small = gradtx.quantized(tx, min_size=1024)
    (updates, state), (exact, _) = trained(small, shapes), trained(tx, shapes)
    assert np.linalg.norm(updates["w"] - exact["w"]) < 0.1 * np.linalg.norm(exact["w"])
    assert all(isinstance(root, jax.Array) for root in gradtx.tree.get(state, "roots")["w"][0])


@pytest.mark.filterwarnings("ignore:sharded. of the state")
@pytest.mark.skipif(jax.device_count() < 2, reason="one device")
def test_a_state_that_is_divided_among_devices_gives_the_same_updates():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    shapes = {"w": (4, 4), "k": (2, 3, 4), "b": (4,)}
    copies = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    tx = gradtx.scale_by_shampoo(gradtx.ema(0.9), eps=1e-2, every=2)
    expected, _ = trained(tx, shapes)
    updates, state = trained(gradtx.sharded(tx, over="data", layout=copies), shapes, place=lambda x: jax.device_put(x, copies))
    chex.assert_trees_all_close(updates, expected, atol=1e-4)
    assert gradtx.tree.get(state, "ema")["w"].addressable_shards[0].data.shape == (2, 4)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="scale_by_shampoo: start must be at least 1, got 0"):
        gradtx.scale_by_shampoo(start=0)
    with pytest.raises(ValueError, match="exponent must be above 0"):
        gradtx.scale_by_shampoo(exponent={2: -1.0})
    with pytest.raises(ValueError, match=r'scale_by_shampoo: root="newton" takes exponents such as 1/2 and 1/4, got 0.3'):
        gradtx.scale_by_shampoo(exponent=0.3, root="newton")
    with pytest.raises(ValueError, match=r"distributed_shampoo: decay_type=.independent. with a schedule needs the largest"):
        gradtx.distributed_shampoo(gradtx.linear_schedule(0.1, 0.0, 3), decay_type="independent")
