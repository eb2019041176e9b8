"""The norms of steps in a subspace: what is drawn, what is kept, what bounds the updates. (See tests/oracles, too.)"""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.wrappers.subspaces import matrices_of, random_directions

NUMBERS = gradtx.GaLoreDimensionNumbers(1, 2)
PIECES = {
    "norms": lambda **options: gradtx.scale_by_low_rank_norms(gradtx.trace(0.9), 2, 3, **options),
    "residual": lambda **options: gradtx.low_rank_with_residual(gradtx.trace(0.9), 2, 3, **options),
}


def gradient(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def norm_of(tx, gradients):
    """The norms of the updates for some gradients, one after the other."""
    state, found = tx.init(gradients[0]), []
    for g in gradients:
        updates, state = tx.update(g, state)
        found.append(float(jnp.linalg.norm(updates)))
    return found


# --- scale_by_low_rank_norms ----------------------------------------------------------------------------------------------


def test_the_state_is_that_of_the_subspace():
    state = gradtx.apollo(0.1, 4).init({"w": jnp.zeros((100, 30)), "b": jnp.zeros(30)})
    shapes = [jnp.shape(x) for x in jax.tree.leaves(state)]
    assert max(np.prod(shape, dtype=int) for shape in shapes) == 400  # the mean and the mean square, (100, 4)
    assert sum(np.prod(shape, dtype=int) for shape in shapes) < 2 * 400 + 2 * 30 + 10


def test_random_directions_keep_lengths_and_differ_from_matrix_to_matrix():
    matrices = matrices_of([jnp.zeros((1000, 50)), jnp.zeros((50, 1000)), jnp.zeros((50, 50))], None)
    tall, wide, square = random_directions(jax.random.key(0), matrices, 20, "short")
    assert tall.shape == wide.shape == square.shape == (50, 20)
    assert not jnp.array_equal(tall, wide)
    assert not jnp.array_equal(tall, square)
    for each in (tall, wide, square):
        # 1000 numbers of variance 1/20: four standard errors of their mean, and of the mean of their squares.
        assert abs(jnp.mean(each)) < 4 / np.sqrt(20 * 1000)
        assert abs(20 * jnp.mean(each**2) - 1) < 4 * np.sqrt(2 / 1000)


def test_directions_are_drawn_anew_every_few_steps():
    tx = gradtx.scale_by_low_rank_norms(gradtx.scale_by_sign(), 1, 3, max_growth=None)
    g, found = gradient((4, 5)), []
    state = tx.init(g)
    for _ in range(7):
        updates, state = tx.update(g, state)
        found.append(updates)
    same = [bool(jnp.array_equal(old, new)) for old, new in itertools.pairwise(found)]
    assert same == [True, True, False, True, True, False]


def test_a_key_is_a_number_or_a_key_and_makes_the_run():
    g = gradient((4, 5))

    def first(**options):
        tx = gradtx.scale_by_low_rank_norms(gradtx.scale_by_sign(), 1, **options)
        return tx.update(g, tx.init(g))[0]

    chex.assert_trees_all_equal(first(key=3), first(seed=3), first(key=jax.random.key(3)))
    assert not jnp.array_equal(first(), first(key=3))
    with pytest.raises(ValueError, match="seed is another word for key"):
        PIECES["norms"](key=1, seed=2)


def test_a_step_as_long_as_its_gradient_leaves_it_as_it_is():
    g = {"tall": gradient((6, 3)), "wide": gradient((3, 6)), "vector": gradient((4,))}
    for per in ("channel", "matrix"):
        tx = gradtx.scale_by_low_rank_norms(gradtx.identity(), 2, per=per, eps=0.0)
        chex.assert_trees_all_close(tx.update(g, tx.init(g))[0], g, rtol=1e-5)


def test_channels_are_columns_of_wide_matrices_and_rows_of_tall_ones():
    g = gradient((3, 6))
    tx = gradtx.scale_by_low_rank_norms(gradtx.scale_by_sign(), 2)
    wide, tall = (tx.update(x, tx.init(x))[0] / x for x in (g, g.T))
    chex.assert_trees_all_close(wide, jnp.broadcast_to(wide[:1], wide.shape), rtol=1e-5)
    chex.assert_trees_all_close(tall, jnp.broadcast_to(tall[:, :1], tall.shape), rtol=1e-5)
    assert jnp.std(wide[0]) > 0.1


# --- low_rank_with_residual -----------------------------------------------------------------------------------------------


def test_with_all_directions_there_is_no_residual():
    g = gradient((6, 3))
    tx = gradtx.low_rank_with_residual(gradtx.trace(0.9), 3)
    plain = gradtx.low_rank(gradtx.trace(0.9), 3, side="short")
    chex.assert_trees_all_close(tx.update(g, tx.init(g))[0], plain.update(g, plain.init(g))[0], rtol=1e-4, atol=1e-5)


def test_what_steps_as_the_gradient_keeps_all_of_it():
    g = {"tall": gradient((6, 3)), "wide": gradient((3, 6)), "vector": gradient((4,))}
    tx = gradtx.low_rank_with_residual(gradtx.identity(), 1, eps=0.0)
    chex.assert_trees_all_close(tx.update(g, tx.init(g))[0], g, rtol=1e-4, atol=1e-5)


# --- both -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", PIECES)
def test_a_batch_of_matrices_is_seen_one_by_one(piece):
    gs = gradient((3, 4, 5)) * jnp.asarray([1.0, 1e-3, 1e3])[:, None, None]
    together = PIECES[piece](weight_dimension_numbers=NUMBERS)
    state = together.init(gs)
    assert state.norms.shape == (3, 1, 1)
    for factor in (1.0, 2.0):
        updates, state = together.update(factor * gs, state)
    if piece == "residual":  # what is random differs between the matrices of a batch, and those that are alone
        alone = PIECES[piece]()
        for k, g in enumerate(gs):
            its_state = alone.init(g)
            for factor in (1.0, 2.0):
                expected, its_state = alone.update(factor * g, its_state)
            chex.assert_trees_all_close(updates[k], expected, rtol=1e-4, atol=1e-5 * float(jnp.max(jnp.abs(expected))))


def test_updates_grow_slowly_from_a_first_one_and_after_zeros_begin_anew():
    g = gradient((4, 5))
    tx = gradtx.scale_by_low_rank_norms(gradtx.identity(), 2, max_growth=1.5, eps=0.0)
    first, second, third, none, free = norm_of(tx, [g, 10 * g, 10 * g, 0 * g, 10 * g])
    whole = float(jnp.linalg.norm(g))
    np.testing.assert_allclose([first, second, third, none, free], np.asarray([1, 1.5, 2.25, 0, 10]) * whole, rtol=1e-5)


@pytest.mark.parametrize("piece", PIECES)
def test_without_a_bound_they_do_not(piece):
    g = gradient((4, 5))
    tx = PIECES[piece](max_growth=None)
    first, second = norm_of(tx, [g, 10 * g])
    assert second > 5 * first


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_long_run_of_tiny_huge_and_lame_gradients_stays_finite(piece, scale, dtype):
    of_rank_one = jnp.outer(gradient((4,)), gradient((6,), 1))
    tx = PIECES[piece]()
    g = (scale * of_rank_one).astype(dtype)

    @jax.jit
    def run(state):
        def step(state, k):
            updates, state = tx.update(jnp.where(k % 7 == 3, 0, g), state)
            return state, updates

        return jax.lax.scan(step, state, jnp.arange(200))

    state, updates = run(tx.init(g))
    chex.assert_tree_all_finite((updates, state.norms))


@pytest.mark.parametrize("piece", PIECES)
def test_bad_numbers_are_refused(piece):
    for options, message in (({"max_growth": 0.5}, "max_growth"), ({"eps": -1.0}, "eps")):
        with pytest.raises(ValueError, match=message):
            PIECES[piece](**options)
