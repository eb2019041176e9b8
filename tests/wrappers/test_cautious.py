"""`cautious`: which entries are left out, and how the others grow."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

LAST = gradtx.scale_by_optimistic_gradient(1.0, -1.0)  # u is the gradient of the step before


def directions(tx, before, now):
    """The updates of the second of two steps."""
    _, state = tx.update(before, tx.init(before), before)
    return tx.update(now, state, before)[0]


def test_entries_that_agree_share_the_length_of_those_that_do_not():
    u = directions(gradtx.cautious(LAST), jnp.asarray([1.0, 2.0, 3.0, 0.0]), jnp.asarray([1.0, -2.0, 3.0, 1.0]))
    np.testing.assert_allclose(u, [2.0, 0.0, 6.0, 0.0])


def test_a_share_below_the_least_counts_as_that():
    before, now = jnp.ones(8), -jnp.ones(8).at[0].set(-1.0)
    np.testing.assert_allclose(directions(gradtx.cautious(LAST, min_share=0.5), before, now)[0], 2.0)
    np.testing.assert_allclose(directions(gradtx.cautious(LAST, count_one_more=True), before, now)[0], 4.0)


@pytest.mark.parametrize("count_one_more", [False, True])
def test_where_nothing_agrees_nothing_moves(count_one_more):
    tx = gradtx.cautious(LAST, count_one_more=count_one_more)
    np.testing.assert_array_equal(directions(tx, jnp.ones(3), -jnp.ones(3)), jnp.zeros(3))
    np.testing.assert_array_equal(directions(tx, jnp.zeros(3), jnp.zeros(3)), jnp.zeros(3))
    chex.assert_shape(directions(tx, jnp.zeros((0, 3)), jnp.zeros((0, 3))), (0, 3))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_numbers_whose_product_is_zero_agree(dtype):
    g = jnp.full(4, 3 * jnp.finfo(dtype).smallest_normal, dtype)
    np.testing.assert_array_equal(directions(gradtx.cautious(LAST), g, g), g)


def test_each_array_has_its_own_share_and_holes_stay():
    before = {"a": jnp.ones(2), "b": jnp.ones(2), "hole": None}
    now = {"a": jnp.asarray([1.0, -1.0]), "b": jnp.ones(2), "hole": None}
    expected = {"a": jnp.asarray([2.0, 0.0]), "b": jnp.ones(2), "hole": None}
    chex.assert_trees_all_close(directions(gradtx.cautious(LAST), before, now), expected)


def test_what_a_mask_inside_leaves_out_is_the_gradient_and_agrees():
    tx = gradtx.cautious(gradtx.masked(LAST, {"a": True, "b": False}))
    updates = directions(tx, {"a": jnp.ones(2), "b": jnp.ones(2)}, {"a": -jnp.ones(2), "b": -jnp.ones(2)})
    chex.assert_trees_all_close(updates, {"a": jnp.zeros(2), "b": -jnp.ones(2)})


@pytest.mark.parametrize(
    "inner", [gradtx.adamw(1e-3), gradtx.chain(gradtx.scale_by_adam(), gradtx.scale_by_learning_rate(lambda count: 0.1))]
)
def test_steps_that_a_learning_rate_has_turned_round_are_refused(inner):
    with pytest.raises(ValueError, match="cautious: it compares a direction with the gradient, and a learning rate has turned"):
        gradtx.cautious(inner).init(jnp.ones(2))


def test_a_share_of_zero_is_refused():
    with pytest.raises(ValueError, match="cautious: min_share must be above 0 and at most 1, got 0"):
        gradtx.cautious(LAST, min_share=0)
