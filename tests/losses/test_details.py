"""What single losses do where Optax does something else, or nothing."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx import losses

# --- labels and masks --------------------------------------------------------------------------------------------------


def test_a_label_among_the_masked_classes_costs_nothing():
    logits, labels = jnp.asarray([[3.0, 1.0, 2.0]]), jnp.asarray([2])
    where = jnp.asarray([[True, True, False]])
    value, gradient = jax.value_and_grad(
        lambda x: jnp.sum(losses.softmax_cross_entropy_with_integer_labels(x, labels, where=where))
    )(logits)
    assert value == 0
    chex.assert_trees_all_equal(gradient, jnp.zeros_like(logits))


def test_smoothed_labels_are_spread_over_the_classes_there_are():
    labels = jnp.asarray([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    where = jnp.asarray([[True, True, False], [False, False, False]])
    smoothed = losses.smooth_labels(labels, 0.2, where=where)
    chex.assert_trees_all_close(smoothed, jnp.asarray([[0.9, 0.1, 0.0], [0.0, 0.0, 0.0]]))


def test_a_row_of_a_square_mask_is_told_from_its_columns():
    logits = jnp.arange(9.0).reshape(3, 3) % 4
    rows = jnp.asarray([True, False, True])
    expected = losses.softmax_cross_entropy(logits, logits, where=jnp.broadcast_to(rows[:, None], (3, 3)))
    chex.assert_trees_all_equal(losses.softmax_cross_entropy(logits, logits, where=rows), expected)
    with pytest.raises(ValueError, match=r"where must have the shape \(3, 3\), as log_predictions, with 1 for any axis; got"):
        losses.kl_divergence(logits, logits, where=rows)


@pytest.mark.parametrize("lacking", ["predictions", "targets"])
def test_the_axis_of_one_class_may_be_left_out(lacking):
    given: Any = {
        "predictions": jnp.linspace(-2, 2, 24).reshape(2, 3, 4, 1),
        "targets": jnp.arange(24.0).reshape(2, 3, 4, 1) % 2,
    }
    expected = losses.dice_loss(**given)
    chex.assert_trees_all_equal(losses.dice_loss(**{**given, lacking: given[lacking][..., 0]}), expected)
    with pytest.raises(ValueError, match="targets must have the shape"):
        losses.dice_loss(given["predictions"][..., 0], jnp.ones((2, 3, 4, 2)))


def test_the_older_name_of_the_divergence_is_deprecated():
    with pytest.warns(DeprecationWarning, match="use generalized_kl_divergence"):
        losses.convex_kl_divergence(jnp.zeros(2), jnp.ones(2))


# --- decisions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [0.0, 0.3, 1.0])
def test_the_sparsemax_loss_is_0_where_the_sparse_sigmoid_is_the_label_and_positive_elsewhere(label):
    logits = jnp.linspace(-3, 3, 61)
    values = losses.sparsemax_loss(logits, label)
    equal = jnp.abs(jax.nn.sparse_sigmoid(logits) - label) < 1e-6
    np.testing.assert_allclose(values[equal], 0, atol=1e-6)
    assert bool(jnp.all(values[~equal] > 0))


def test_the_multiclass_sparsemax_loss_of_large_scores_is_exact():
    scores = jnp.asarray([1e4, 1e4 + 0.5, -1e4])
    expected = losses.multiclass_sparsemax_loss(jnp.asarray([0.0, 0.5, -20.0]), 0)
    chex.assert_trees_all_close(losses.multiclass_sparsemax_loss(scores, 0), expected, rtol=1e-6)
    assert losses.multiclass_sparsemax_loss(scores, 2) == 20000.5625


def test_the_multiclass_sparsemax_loss_takes_any_leading_axes():
    scores, labels = jnp.arange(24.0).reshape(2, 4, 3) % 5 / 3, jnp.arange(8).reshape(2, 4) % 3
    expected = losses.multiclass_sparsemax_loss(scores.reshape(8, 3), labels.reshape(8)).reshape(2, 4)
    chex.assert_trees_all_equal(losses.multiclass_sparsemax_loss(scores, labels), expected)
    chex.assert_trees_all_close(losses.multiclass_sparsemax_loss(scores[0, 0], 0), expected[0, 0])


# --- embeddings --------------------------------------------------------------------------------------------------------


def test_ntxent_of_a_low_temperature_is_finite():
    embeddings, labels = jnp.asarray([[1.0, 0.0], [-1.0, 0.1], [0.9, 0.1]]), jnp.asarray([0, 0, 1])
    value, gradient = jax.value_and_grad(losses.ntxent)(embeddings, labels, 1e-4)
    unit = np.asarray(embeddings, np.float64) / np.linalg.norm(embeddings, axis=-1, keepdims=True)
    s = unit @ unit.T / 1e-4
    expected = np.mean([np.logaddexp(0, s[i, 2] - s[i, j]) for i, j in ((0, 1), (1, 0))])
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    chex.assert_tree_all_finite(gradient)


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0]])
def test_ntxent_without_a_pair_or_without_others_is_0(labels):
    value, gradient = jax.value_and_grad(losses.ntxent)(jnp.eye(3), jnp.asarray(labels))
    assert value == 0
    chex.assert_trees_all_equal(gradient, jnp.zeros((3, 3)))


# --- lists -------------------------------------------------------------------------------------------------------------


def test_a_function_that_knows_no_mask_may_reduce_lists_without_one():
    logits, labels = jnp.arange(6.0).reshape(2, 3), jnp.ones((2, 3))
    expected = losses.ranking_softmax_loss(logits, labels, reduce_fn=None).max()
    chex.assert_trees_all_equal(losses.ranking_softmax_loss(logits, labels, reduce_fn=lambda x: x.max()), expected)


# --- regions -----------------------------------------------------------------------------------------------------------


def test_probabilities_need_no_sigmoid():
    logits, targets = jnp.linspace(-2, 2, 12).reshape(2, 6), jnp.arange(12).reshape(2, 6) % 2
    expected = losses.binary_dice_loss(logits, targets)
    chex.assert_trees_all_equal(losses.binary_dice_loss(jax.nn.sigmoid(logits), targets, apply_sigmoid=False), expected)


def test_an_absent_class_weighs_as_much_as_the_rarest_present():
    logits = jnp.linspace(-1, 1, 24).reshape(2, 4, 3)
    targets = jax.nn.one_hot(jnp.asarray([[0, 0, 0, 1], [0, 0, 0, 1]]), 3)
    of_classes = losses.dice_loss(logits, targets, reduction="none")
    weights = np.asarray([1 / 6**2, 1 / 2**2, 1 / 2**2])
    actual = losses.multiclass_generalized_dice_loss(logits, targets)
    np.testing.assert_allclose(actual, np.mean(of_classes @ weights / weights.sum()), rtol=1e-6)


def test_the_weights_of_the_classes_in_front_of_the_background_add_up_to_1():
    logits, targets = jnp.full((1, 4, 3), -1.0).at[..., 0].set(20.0), jax.nn.one_hot(jnp.asarray([[1, 1, 2, 2]]), 3)
    value = losses.multiclass_generalized_dice_loss(logits, targets, smooth=0.0, ignore_background=True)
    np.testing.assert_allclose(value, 1, rtol=1e-6)


def test_two_empty_regions_are_equal():
    nothing = jnp.zeros((2, 4, 1))
    value, gradient = jax.value_and_grad(
        lambda p: jnp.sum(losses.binary_dice_loss(p, nothing, smooth=0.0, apply_sigmoid=False))
    )(nothing)
    assert value == 0
    chex.assert_tree_all_finite(gradient)


# --- sequences ---------------------------------------------------------------------------------------------------------

LOGITS = jnp.sin(jnp.arange(40.0)).reshape(2, 5, 4)
LABELS = jnp.asarray([[1, 1, 2], [3, 1, 0]])
PADDINGS = jnp.zeros((2, 5)), jnp.asarray([[0, 0, 0], [0, 0, 1]])


def test_labels_that_cannot_be_spelled_cost_log_epsilon_and_have_gradient_0():
    short = PADDINGS[0].at[:, 3:].set(1)  # 1, blank, 1, 2 takes four frames

    @jax.jit
    def loss(logits):
        values = losses.ctc_loss(logits, short, LABELS, PADDINGS[1])
        return jnp.sum(values), values

    gradient, values = jax.grad(loss, has_aux=True)(LOGITS)
    assert values[0] == 1e5
    chex.assert_tree_all_finite(gradient)
    chex.assert_trees_all_equal(gradient[0], jnp.zeros((5, 4)))


@pytest.mark.parametrize("label", [-1, 99])
def test_a_label_that_is_padded_may_be_anything(label):
    expected = losses.ctc_loss(LOGITS, PADDINGS[0], LABELS, PADDINGS[1])
    chex.assert_trees_all_equal(losses.ctc_loss(LOGITS, PADDINGS[0], LABELS.at[1, 2].set(label), PADDINGS[1]), expected)


@pytest.mark.parametrize("dtype", [bool, jnp.int32, jnp.bfloat16])
def test_paddings_may_be_of_any_dtype(dtype):
    expected = losses.ctc_loss(LOGITS, PADDINGS[0].at[1, 3:].set(1), LABELS, PADDINGS[1])
    paddings = [x.astype(dtype) for x in (PADDINGS[0].at[1, 3:].set(1), PADDINGS[1])]
    chex.assert_trees_all_equal(losses.ctc_loss(LOGITS, paddings[0], LABELS, paddings[1]), expected)


def test_no_frames_spell_no_labels():
    nothing = losses.ctc_loss(LOGITS[:, :0], PADDINGS[0][:, :0], LABELS[:, :0], PADDINGS[1][:, :0])
    chex.assert_trees_all_equal(nothing, jnp.zeros(2))
    chex.assert_trees_all_equal(losses.ctc_loss(LOGITS[:, :0], PADDINGS[0][:, :0], LABELS, PADDINGS[1]), jnp.full(2, 1e5))


def test_frames_of_impossible_classes_have_finite_gradients():
    logits = LOGITS.at[:, :, 2].set(-jnp.inf)
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(losses.ctc_loss(x, PADDINGS[0], LABELS, PADDINGS[1])))(logits)
    assert value > 1e5
    chex.assert_tree_all_finite(gradient)


# --- made of a maximum -------------------------------------------------------------------------------------------------


def test_what_else_a_fenchel_young_loss_is_given_goes_to_the_maximum():
    def smooth_maximum(scores, temperature, *, shift=0.0):
        return temperature * jax.nn.logsumexp(scores / temperature) + shift

    loss = losses.make_fenchel_young_loss(smooth_maximum)
    scores, targets = jnp.arange(6.0).reshape(2, 3), jnp.asarray([1.0, 0.0, 0.0])
    expected = 2 * losses.softmax_cross_entropy(scores / 2, targets) + 1
    chex.assert_trees_all_close(loss(scores, targets, 2.0, shift=1.0), expected, rtol=1e-6)


def test_a_fenchel_young_loss_refuses_targets_of_another_shape():
    loss = losses.make_fenchel_young_loss(jax.nn.logsumexp)
    with pytest.raises(ValueError, match=r"fenchel_young_loss: targets must have the shape \(3,\), as scores.*; got \(4, 3\)"):
        loss(jnp.zeros(3), jnp.zeros((4, 3)))
