"""Losses have Optax's signatures, and refuse by name what does not fit."""

import inspect

import jax
import jax.numpy as jnp
import optax
import pytest

import gradtx
from gradtx import losses

NAMES = [name for name in sorted(dir(optax.losses)) if inspect.isfunction(getattr(optax.losses, name))]
TOP_LEVEL = [name for name in NAMES if hasattr(optax, name)]
OF_TWO_ARRAYS = [
    "cosine_distance",
    "cosine_similarity",
    "generalized_kl_divergence",
    "hinge_loss",
    "huber_loss",
    "kl_divergence",
    "kl_divergence_with_log_targets",
    "convex_kl_divergence",
    "l2_loss",
    "log_cosh",
    "perceptron_loss",
    "poly_loss_cross_entropy",
    "ranking_softmax_loss",
    "safe_softmax_cross_entropy",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "softmax_cross_entropy",
    "sparsemax_loss",
    "squared_error",
    "binary_dice_loss",
    "dice_loss",
    "multiclass_generalized_dice_loss",
]
OF_EQUAL_SHAPES = {
    "l2_loss",
    "perceptron_loss",
    "squared_error",
    "binary_dice_loss",
    "dice_loss",
    "multiclass_generalized_dice_loss",
}
OF_CLASSES = [
    "multiclass_hinge_loss",
    "multiclass_perceptron_loss",
    "multiclass_sparsemax_loss",
    "softmax_cross_entropy_with_integer_labels",
]
WITH_A_MASK = [name for name in OF_TWO_ARRAYS if "where" in inspect.signature(getattr(losses, name)).parameters]


def arguments(function):
    return [
        (p.name, p.kind, getattr(p.default, "__name__", repr(p.default)))
        for p in inspect.signature(function).parameters.values()
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_takes_the_arguments_of_optax(name):
    assert arguments(getattr(losses, name)) == arguments(getattr(optax.losses, name))


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_a_loss_is_at_the_top_level_where_it_is_there_in_optax(name):
    assert getattr(gradtx, name) is getattr(losses, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_documented(name):
    documentation = inspect.getdoc(getattr(losses, name)) or ""
    assert all(f"\n{part}:" in documentation for part in ("Args", "Raises", "References"))
    assert all(f"  {parameter}: " in documentation for parameter in inspect.signature(getattr(losses, name)).parameters)


@pytest.mark.parametrize("name", OF_TWO_ARRAYS)
@pytest.mark.parametrize("shapes", [((4,), (4, 1)), ((4, 1), (4,)), ((3,), (4, 3)), ((1, 3), (4, 3)), ((4, 3), (4, 2))])
def test_predictions_never_grow_to_the_shape_of_targets(name, shapes):
    if name == "dice_loss" and set(shapes) == {(4,), (4, 1)}:
        pytest.skip("of one class, either array may come without its axis")
    predictions, targets = (jnp.full(shape, 0.5) for shape in shapes)
    second = list(inspect.signature(getattr(losses, name)).parameters)[1]
    with pytest.raises(ValueError, match=rf"{name}: {second} must have the shape \({shapes[0][0]}"):
        getattr(losses, name)(predictions, targets)


@pytest.mark.parametrize("name", OF_TWO_ARRAYS)
def test_targets_grow_to_the_shape_of_predictions_only_where_optax_lets_them(name):
    predictions, targets = jnp.full((4, 3), 0.5), jnp.full((3,), 0.5)
    if name in OF_EQUAL_SHAPES:
        with pytest.raises(ValueError, match=r"must have the shape \(4, 3\), as .*; got \(3,\)"):
            getattr(losses, name)(predictions, targets)
    else:
        expected = getattr(losses, name)(predictions, jnp.full((4, 3), 0.5))
        assert jnp.array_equal(getattr(losses, name)(predictions, targets), expected)


@pytest.mark.parametrize("name", OF_TWO_ARRAYS)
@pytest.mark.parametrize("dtype", [jnp.int32, bool, jnp.complex64])
def test_predictions_that_are_no_floats_are_refused(name, dtype):
    first = next(iter(inspect.signature(getattr(losses, name)).parameters))
    with pytest.raises(TypeError, match=rf"{name}: {first} must be of a floating-point dtype, got {jnp.dtype(dtype).name}"):
        getattr(losses, name)(jnp.ones((4, 3), dtype), jnp.ones((4, 3)))


@pytest.mark.parametrize("name", OF_TWO_ARRAYS)
def test_targets_may_be_integers_or_of_another_dtype(name):
    predictions, targets = jnp.full((4, 3), 0.5, jnp.bfloat16), jnp.ones((4, 3))
    assert getattr(losses, name)(predictions, targets).dtype == jnp.float32
    assert getattr(losses, name)(predictions, targets.astype(int)).dtype == jnp.bfloat16


@pytest.mark.parametrize("name", WITH_A_MASK)
def test_masks_that_do_not_fit_are_refused(name):
    predictions, targets = jnp.full((4, 3), 0.5), jnp.full((4, 3), 0.5)
    with pytest.raises(TypeError, match=f"{name}: where must be an array of bools, got float32"):
        getattr(losses, name)(predictions, targets, where=jnp.ones((4, 3)))
    with pytest.raises(ValueError, match=rf"{name}: where must have the shape \(4, 3\).*; got \(3,\)"):
        getattr(losses, name)(predictions, targets, where=jnp.ones(3, bool))


@pytest.mark.parametrize("name", WITH_A_MASK)
def test_a_mask_may_have_1_for_any_axis(name):
    predictions = jnp.arange(12.0).reshape(4, 3) / 12
    rows = jnp.asarray([[True], [False], [True], [True]])
    expected = getattr(losses, name)(predictions, predictions, where=jnp.broadcast_to(rows, (4, 3)))
    assert jnp.array_equal(getattr(losses, name)(predictions, predictions, where=rows), expected)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_labels_that_do_not_fit_are_refused(name):
    scores = jnp.zeros((4, 3))
    with pytest.raises(TypeError, match=f"{name}: labels must be integers, got float32"):
        getattr(losses, name)(scores, jnp.zeros(4))
    for shape in ((4, 1), (3,), (), (4, 3)):
        with pytest.raises(ValueError, match=rf"{name}: labels must have the shape \(4,\), as .* without classes; got"):
            getattr(losses, name)(scores, jnp.zeros(shape, int))


@pytest.mark.parametrize("name", OF_CLASSES)
def test_labels_count_from_the_end_below_0_and_out_of_range_the_loss_is_nan(name):
    scores = jnp.broadcast_to(jnp.asarray([0.1, 0.7, -0.4]), (4, 3))
    values = getattr(losses, name)(scores, jnp.asarray([2, -1, 3, -4]))
    assert values[0] == values[1]
    assert bool(jnp.all(jnp.isnan(values[2:])))


def test_axes_out_of_range_are_refused():
    with pytest.raises(ValueError, match="axis must be among those of an array of 2 axes, got 2"):
        losses.softmax_cross_entropy(jnp.zeros((4, 3)), jnp.zeros((4, 3)), axis=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: losses.huber_loss(x, delta=0.0), "huber_loss: delta must be above 0, got 0.0"),
        (lambda x: losses.huber_loss(x, delta=jnp.ones((4, 1, 1))), r"huber_loss: delta must have the shape \(4, 3\)"),
        (lambda x: losses.cosine_similarity(x, x, epsilon=-1.0), "cosine_similarity: epsilon must be at least 0"),
        (lambda x: losses.sigmoid_focal_loss(x, x, gamma=-1), "sigmoid_focal_loss: gamma must be at least 0"),
        (lambda x: losses.sigmoid_focal_loss(x, x, alpha=2), "alpha must be at least 0 and at most 1, got 2"),
        (lambda x: losses.smooth_labels(x, 1.5), "smooth_labels: alpha must be at least 0 and at most 1, got 1.5"),
        (lambda x: losses.triplet_margin_loss(x, x, x, norm_degree=0.5), "norm_degree must be at least 1, got 0.5"),
        (lambda x: losses.triplet_margin_loss(x, x[0], x[:, :1, None]), "triplet_margin_loss: negatives must have the shape"),
        (lambda x: losses.ntxent(x, jnp.zeros(4), temperature=0.0), "ntxent: temperature must be above 0"),
        (lambda x: losses.ntxent(x, jnp.zeros((4, 1))), r"ntxent: labels must have the shape \(4,\).*; got \(4, 1\)"),
        (lambda x: losses.ntxent(x[0], jnp.zeros(4)), r"ntxent: embeddings must be of shape \(batch, features\), got \(3,\)"),
        (lambda x: losses.dice_loss(x, x, reduction="max"), 'reduction must be "mean", "sum" or "none", got \'max\''),
        (lambda x: losses.dice_loss(x, x, axis=-1), "dice_loss: axis must not be the last"),
        (lambda x: losses.dice_loss(x, x, class_weights=jnp.ones(2)), r"class_weights must have the shape \(3,\), got \(2,\)"),
        (lambda x: losses.dice_loss(1.0, 1.0), "dice_loss: predictions must have an axis of classes"),
    ],
)
def test_what_is_out_of_range_or_of_another_shape_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.ones((4, 3)))


@pytest.mark.parametrize(
    ("shapes", "blank_id", "message"),
    [
        (((5, 4), (2, 5), (2, 3), (2, 3)), 0, r"logits must be of shape \(batch, frames, classes\), got \(5, 4\)"),
        (((2, 5, 4), (5, 2), (2, 3), (2, 3)), 0, r"logit_paddings must have the shape \(2, 5\), got \(5, 2\)"),
        (((2, 5, 4), (2, 5), (3, 2), (3, 2)), 0, r"labels must be of shape \(batch, n\), with a batch of 2; got \(3, 2\)"),
        (((2, 5, 4), (2, 5), (2, 3), (2, 2)), 0, r"label_paddings must have the shape \(2, 3\), as labels; got \(2, 2\)"),
        (((2, 5, 4), (2, 5), (2, 3), (2, 3)), 4, "blank_id must be one of 4 classes, got 4"),
    ],
)
def test_sequences_that_do_not_fit_are_refused(shapes, blank_id, message):
    logits, logit_paddings, labels, label_paddings = (jnp.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        losses.ctc_loss(logits, logit_paddings, labels.astype(int), label_paddings, blank_id=blank_id)


def test_hyperparameters_may_be_traced_in_a_dtype_of_their_own():
    x = jnp.asarray([0.5, 2.0], jnp.bfloat16)

    @jax.jit
    def traced(number):
        return (
            losses.huber_loss(x, delta=number),
            losses.sigmoid_focal_loss(x, x, alpha=number, gamma=number),
            losses.cosine_similarity(x, x, epsilon=number),
            losses.poly_loss_cross_entropy(x, x, epsilon=number),
            losses.smooth_labels(x, number),
        )

    assert all(loss.dtype == jnp.bfloat16 for loss in traced(jnp.float32(0.3)))
