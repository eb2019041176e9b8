"""Properties of transformations on random trees, and on random mistakes."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from hypothesis import given, settings
from hypothesis import strategies as st

import gradtx
from gradtx import tree

LABELS = zoo.existing(zoo.TRANSFORMATIONS)
SHAPES = [(), (0,), (1,), (3,), (2, 3), (0, 4)]
FLOATS = [jnp.float32, jnp.bfloat16, jnp.float16]

properties = settings(deadline=None, derandomize=True, max_examples=20)


@st.composite
def arrays(draw, dtypes):
    """An array of normal numbers."""
    shape, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(dtypes))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return jnp.asarray(generator.normal(size=shape), jnp.float32).astype(dtype)


def trees(dtypes=FLOATS):
    """Arrays and holes in dicts, lists and tuples."""
    return st.recursive(
        st.one_of(arrays(dtypes), arrays(dtypes), st.none()),
        lambda inner: st.one_of(
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.lists(inner, max_size=3),
            st.tuples(inner, inner),
        ),
        max_leaves=5,
    )


def updated(tx, updates, steps=1):
    """The updates of the last of several steps with the same gradients, which are the parameters too."""
    state = tx.init(updates)
    new = updates
    for _ in range(steps):
        new, state = tx.update(updates, state, updates)
    return new


def widened(x):
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), x)


def assert_close(actual, expected):
    """Raise unless two trees are the same up to the rounding of the dtype of each leaf."""
    chex.assert_trees_all_equal_shapes_and_dtypes(actual, expected)
    for one, two in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        eps = float(jnp.finfo(one.dtype).eps)
        np.testing.assert_allclose(one.astype(jnp.float32), two.astype(jnp.float32), rtol=2 * eps, atol=2 * eps)


# --- what is linear, and what is bounded ------------------------------------------------------------------------------


@properties
@given(trees(), st.sampled_from([-2.0, -0.5, 0.0, 0.25, 4.0]))
def test_scaling_is_linear(x, number):
    scale = gradtx.scale(number)
    assert_close(updated(scale, tree.scale(2.0, x)), tree.scale(2.0, updated(scale, x)))
    assert_close(updated(scale, tree.add(x, x)), tree.add(updated(scale, x), updated(scale, x)))


@properties
@given(trees(), st.sampled_from([0.001, 0.1, 1.0]))
def test_a_step_of_sgd_is_minus_the_learning_rate_times_the_gradient(x, learning_rate):
    assert_close(updated(gradtx.sgd(learning_rate), x), tree.scale(-learning_rate, x))


@properties
@given(trees([jnp.float32]), st.sampled_from([1e-3, 0.5, 1.0, 100.0]))
def test_clipping_bounds_the_global_norm_and_keeps_the_direction(x, max_norm):
    clipped = updated(gradtx.clip_by_global_norm(max_norm), x)
    before, after = float(tree.norm(x)), float(tree.norm(clipped))
    assert after <= max_norm * (1 + 1e-6)
    assert after == pytest.approx(min(before, max_norm), rel=1e-5)
    assert_close(tree.scale(before, clipped), tree.scale(after, x))


@properties
@given(trees(), st.sampled_from([0.25, 1.0, 8.0]))
def test_clipping_bounds_every_coordinate_and_leaves_those_within(x, bound):
    chex.assert_trees_all_equal(
        updated(gradtx.clip(bound), x),
        jax.tree.map(lambda g: jnp.where(abs(g) < bound, g, jnp.sign(g) * bound).astype(g.dtype), x),
    )


@properties
@given(trees([jnp.float32]), st.sampled_from([0.01, 0.5, 8.0]))
def test_clipping_bounds_the_root_mean_square_of_every_array(x, threshold):
    for g in jax.tree.leaves(updated(gradtx.clip_by_block_rms(threshold), x)):
        assert tree.norm(g) <= threshold * math.sqrt(g.size) * (1 + 1e-6)


@properties
@given(trees(), st.sampled_from([0.0, 0.5, 0.9, 0.999]), st.integers(1, 4))
def test_the_average_of_a_constant_is_the_constant(x, decay, steps):
    assert_close(updated(gradtx.ema(decay), x, steps), x)


@properties
@given(trees(), st.integers(1, 4))
def test_the_trace_of_a_constant_is_a_geometric_sum(x, steps):
    assert_close(updated(gradtx.trace(0.5), x, steps), tree.scale(2 - 0.5 ** (steps - 1), x))


# --- compositions -----------------------------------------------------------------------------------------------------

PARTS = {
    "clip": gradtx.clip_by_global_norm(0.5),
    "momentum": gradtx.trace(0.9),
    "adam": gradtx.scale_by_adam(),
    "decay": gradtx.add_decayed_weights(0.1),
    "rate": gradtx.scale_by_learning_rate(0.1),
}
parts = st.sampled_from(sorted(PARTS)).map(PARTS.__getitem__)


@properties
@given(trees(), parts, parts, parts)
def test_chaining_is_associative(x, a, b, c):
    flat = updated(gradtx.chain(a, b, c), x, 2)
    chex.assert_trees_all_equal(updated(gradtx.chain(a, gradtx.chain(b, c)), x, 2), flat)
    chex.assert_trees_all_equal(updated(gradtx.chain(gradtx.chain(a, b), c), x, 2), flat)


@properties
@given(trees(), parts)
def test_the_identity_is_neutral_in_a_chain(x, part):
    alone = updated(part, x)
    chex.assert_trees_all_equal(updated(gradtx.chain(gradtx.identity(), part), x), alone)
    chex.assert_trees_all_equal(updated(gradtx.chain(part, gradtx.chain()), x), alone)


@properties
@given(trees(), parts)
def test_a_mask_of_all_is_the_inner_transformation_and_a_mask_of_none_the_identity(x, part):
    chex.assert_trees_all_equal(updated(gradtx.masked(part, True), x, 2), updated(part, x, 2))
    chex.assert_trees_all_equal(updated(gradtx.masked(part, False), x, 2), x)


@properties
@given(trees([jnp.float32]), parts)
def test_equal_mini_steps_amount_to_one_step(x, part):
    assert_close(updated(gradtx.MultiSteps(part, 2), x, 2), updated(part, x))


@properties
@given(trees(), parts)
def test_what_is_finite_is_applied(x, part):
    chex.assert_trees_all_equal(updated(gradtx.apply_if_finite(part, 1), x), updated(part, x))


# --- mistakes ---------------------------------------------------------------------------------------------------------

DECAYS = {"b1", "b2", "b3"}
MAY_BE_1 = {
    ("distributed_shampoo", "b2"),
    ("primal_averaged", "b1"),
    ("scale_by_gradient_rms", "decay"),
    ("scale_by_shampoo", "decay"),
    ("scale_by_sm3", "b2"),
}
NOT_NEGATIVE = {"eps", "eps_root", "learning_rate", "weight_decay", "initial_accumulator_value", "initial_scale"}


def mistakes():
    """Every factory of the zoo, with every argument that has a range, and numbers outside of it."""
    for label in LABELS:
        recipe = zoo.transformation(label).recipe
        for name in recipe.arguments:
            if name in DECAYS and (zoo.public_name(label), name) not in MAY_BE_1:
                yield label, name, st.floats(min_value=1.0) | st.floats(max_value=0.0, exclude_max=True) | st.just(math.nan)
            if name in NOT_NEGATIVE:
                yield label, name, st.floats(max_value=0.0, exclude_max=True) | st.just(math.nan)


@pytest.mark.parametrize(("label", "name", "numbers"), [pytest.param(*case, id=f"{case[0]}-{case[1]}") for case in mistakes()])
def test_a_hyperparameter_out_of_range_is_refused_by_name(label, name, numbers):
    recipe = zoo.transformation(label).recipe

    @settings(properties, max_examples=10)
    @given(numbers)
    def refused(number):
        with pytest.raises(ValueError, match=rf"{name} must be .*, got "):
            recipe.factory(**{**recipe.arguments, name: number})

    refused()


READERS = {
    "scale_by_adam": gradtx.scale_by_adam(),
    "lion": gradtx.lion(0.1),
    "rmsprop": gradtx.rmsprop(0.1, momentum=0.9),
    "add_decayed_weights": gradtx.add_decayed_weights(0.1),
    "adaptive_grad_clip": gradtx.adaptive_grad_clip(0.1),
    "MultiSteps": gradtx.MultiSteps(gradtx.adam(0.1), 2),
    "apply_if_finite": gradtx.apply_if_finite(gradtx.adam(0.1), 2),
    "inject_hyperparams": gradtx.inject_hyperparams(gradtx.adamw)(0.1),
    "masked": gradtx.masked(gradtx.adam(0.1), True),
}


@pytest.mark.parametrize("name", READERS)
@settings(properties, max_examples=8)
@given(data=st.data())
def test_a_wrong_shape_is_refused_by_its_path(name, data):
    tx = READERS[name]
    params = data.draw(trees([jnp.float32]).filter(jax.tree.leaves))
    leaves, structure = jax.tree.flatten(params)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(params)]
    k = data.draw(st.integers(0, len(leaves) - 1))
    wrong = structure.unflatten([*leaves[:k], jnp.zeros((7, *leaves[k].shape)), *leaves[k + 1 :]])
    with pytest.raises(ValueError, match="has shape") as caught:
        tx.update(wrong, tx.init(params), params)
    assert f"updates{paths[k]} has shape {(7, *leaves[k].shape)}" in str(caught.value)
