"""At the edges of a loss (equal, saturated, masked arguments): two finite derivatives, and no loss below its least."""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_cases import CASES

from gradtx import losses
from gradtx.losses.bounds import exp_excess, nonnegative

NAMES = {label: label.split()[0] for label in CASES}
OF_LOGARITHMS = {label for label in CASES if "kl_divergence" in label}  # their predictions
# Cosines and labels are not losses; other labels than probabilities, and distributions with a part masked, have no least loss.
SIGNED = {label for label in CASES if NAMES[label] in ("cosine_similarity", "smooth_labels")}
SIGNED |= {"softmax_cross_entropy over two axes", "poly_loss_cross_entropy masked", "kl_divergence masked"}


FIRST_OF_A_LOSS = set({name: label for label, name in reversed(NAMES.items())}.values())


def loss_of(label):
    return functools.partial(getattr(losses, NAMES[label]), **CASES[label].kwargs)


def equal(label, first, others):
    """The other floats in the shape of the predictions, and logarithms and logits of them."""
    for other in others:
        if jnp.issubdtype(other.dtype, jnp.floating) and other.shape in ((), first.shape[-1:], first.shape):
            x = jnp.broadcast_to(other, first.shape)
            yield from (x, jnp.log(jnp.maximum(jnp.abs(x), 1e-30)))


def saturated(label, first):
    """Predictions that are sure: also where exp is 0 or inf."""
    highest = first == jnp.max(first, axis=-1, keepdims=True)
    for size in (17, 50, 88, 104, 750, 1e4):
        if label in OF_LOGARITHMS:
            yield jnp.where(highest, 0, -size).astype(first.dtype)
        elif NAMES[label] != "smooth_labels":
            yield from (size * jnp.sign(first), jnp.where(highest, size, -size).astype(first.dtype))


def edges(label, first, others):
    yield from (0 * first, 1e-15 * first, *saturated(label, first), *equal(label, first, others))
    if "where" in CASES[label].kwargs:
        where = CASES[label].kwargs["where"]
        yield jnp.where(where if where.ndim == first.ndim else where[:, None], first, jnp.nan)


def first_and_second_derivative(label):
    """The gradient of the sum of the losses, and its derivative along a direction, of many predictions."""
    case, function = CASES[label], loss_of(label)

    def derivatives(first, *others):
        derived, rest = (first, *others)[: case.derived], others[case.derived - 1 :]
        direction = tuple(jnp.cos(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape) for x in derived)
        gradient = jax.grad(lambda *derived: jnp.sum(function(*derived, *rest)), tuple(range(case.derived)))
        return jax.jvp(gradient, derived, direction)

    return jax.jit(jax.vmap(derivatives, (0, *[None] * (len(case.makers) - 1))))


@pytest.mark.parametrize("label", CASES)
def test_first_and_second_derivatives_are_finite_at_the_edges(label, x64):
    derivatives = first_and_second_derivative(label)
    for dtype in (jnp.float32, jnp.float64) if label in FIRST_OF_A_LOSS else (jnp.float32,):
        first, *others = CASES[label].arguments(0, dtype)
        points = jnp.stack(list(edges(label, first, others)))
        chex.assert_tree_all_finite(derivatives(points, *others))


def test_second_derivatives_of_the_focal_loss_are_finite_and_right_for_every_gamma():
    logits = jnp.concatenate([jnp.linspace(-40, 40, 81), jnp.asarray([50.0, 88, 89, 104, 750, 1e4, 1e30])])
    logits = jnp.concatenate([logits, -logits])

    def second(gamma):
        derivative = jax.grad(jax.grad(functools.partial(losses.sigmoid_focal_loss, labels=1.0, gamma=gamma)))
        return jax.vmap(derivative)(logits)

    found = jax.jit(lambda: [second(gamma) for gamma in (0.0, 0.3, 0.5, 1.0, 2.0)])()
    chex.assert_tree_all_finite(found)
    p = np.asarray(jax.nn.sigmoid(logits))
    chex.assert_trees_all_close(found[0], p * (1 - p), atol=1e-6)  # the cross entropy


def close(label, first, others):
    """Predictions that are equal to the other arguments but for some units in the last place, or sure."""
    normalized = jax.nn.log_softmax if label in OF_LOGARITHMS else lambda x: x
    yield from map(normalized, (0 * first, *saturated(label, first)))
    noise = jnp.cos(jnp.arange(first.size, dtype=first.dtype)).reshape(first.shape)
    for x in equal(label, first, others):
        for units in (0, 1, -4, 64):
            yield normalized(x * (1 + units * jnp.finfo(x.dtype).eps * noise))


@pytest.mark.parametrize("label", [label for label in CASES if label not in SIGNED])
def test_a_loss_of_equal_nearly_equal_or_sure_arguments_is_not_negative(label, x64):
    many = jax.jit(jax.vmap(loss_of(label), (0, *[None] * (len(CASES[label].makers) - 1))))
    for dtype in (jnp.float32, jnp.float64, jnp.bfloat16) if label in FIRST_OF_A_LOSS else (jnp.float32,):
        if label in OF_LOGARITHMS and dtype == jnp.bfloat16:
            continue  # probabilities that are rounded so do not sum to 1
        for seed in range(5):
            first, *others = CASES[label].arguments(seed, dtype)
            losses = many(jnp.stack(list(close(label, first, others))), *others)
            assert jnp.min(losses) >= 0, f"{jnp.min(losses)} in {dtype.__name__} of seed {seed}"


def test_the_only_alignment_costs_nothing_and_is_not_paid_for():
    path = np.random.default_rng(0).integers(0, 4, (64, 9))
    labels = [np.asarray([c for c, before in zip(row, [0, *row[:-1]], strict=True) if c not in (0, before)]) for row in path]
    padded = np.stack([np.pad(row, (0, 9 - len(row))) for row in labels])
    for size in (5.0, 15.0, 17.0, 50.0, 1e4):
        logits = size * jax.nn.one_hot(path, 4)
        value, *log_p = losses.ctc_loss_with_forward_probs(logits, jnp.zeros(path.shape), padded, padded == 0)
        assert jnp.min(value) >= 0
        assert all(jnp.max(p) <= 0 for p in log_p)
        assert size < 10 or jnp.max(value) < 1e-4


def test_bounds_do_not_change_derivatives():
    for x in (-1e-3, 0.0, 1e-3, 0.9, 1.1, -3.0, 5.0):
        excess = [exp_excess, jax.grad(exp_excess), jax.grad(jax.grad(exp_excess))]
        expected = (math.expm1(x) - x if abs(x) > 0.1 else x**2 / 2 + x**3 / 6 + x**4 / 24, math.expm1(x), math.exp(x))
        for function, value in zip(excess, expected, strict=True):
            np.testing.assert_allclose(function(x), value, rtol=1e-6)
    for x in (-1e-8, -1.0, 0.0, 1.0):
        value, gradient = jax.value_and_grad(lambda x: nonnegative(x**2 + 3 * x, 1e-6))(x)
        np.testing.assert_allclose(value, 0 if x == -1e-8 else x**2 + 3 * x)
        np.testing.assert_allclose(gradient, 2 * x + 3)


@pytest.mark.parametrize("norm_degree", [1, 1.5, 2, 3])
def test_distances_of_equal_vectors_have_two_finite_derivatives(norm_degree):
    """Of the power 1.5 the second one is infinite in mathematics."""
    x = jnp.asarray([1.0, 2.0])
    for eps in (1e-6, 0.0):
        chex.assert_tree_all_finite(
            jax.hessian(lambda a, eps=eps: losses.triplet_margin_loss(a, x, 2 * x, norm_degree=norm_degree, eps=eps))(x)
        )
