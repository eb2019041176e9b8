"""Aggregators are values, keep the laws, and are safe where Optax's are not."""

import inspect
import pickle
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax.experimental
import pytest
import zoo
from chosen_laws import COMPOSED_LAWS

import gradtx
from gradtx import aggregating, testing

NAMES = [name for name in vars(aggregating) if hasattr(optax.experimental.aggregating, name) and name[0] != "_"]
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(aggregating, name))]
STATES = [name for name in NAMES if name.endswith("State")]
PARAMS = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}


def of_examples(n, params=PARAMS):
    """Gradients of n examples."""
    rng = np.random.default_rng(n)
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=(n, *p.shape)), p.dtype), params)


def run(tx, params, *steps, **extra_args):
    state = tx.init(params)
    updates: Any = None
    for gradients in steps:
        updates, state = tx.update(gradients, state, params, **extra_args)
    return updates, state


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_the_arguments_of_optax(name):
    theirs, ours = (
        [(p.name, p.kind, p.default) for p in inspect.signature(getattr(module, name)).parameters.values()]
        for module in (optax.experimental.aggregating, aggregating)
    )
    assert ours == theirs


@pytest.mark.parametrize("name", STATES)
def test_a_state_has_the_fields_of_optax(name):
    assert getattr(aggregating, name)._fields == getattr(optax.experimental.aggregating, name)._fields


TRANSFORMATIONS = {
    "one example": lambda: gradtx.chain(gradtx.stateless(zoo.one_example), aggregating.average_per_element_updates()),
    "parts": lambda: aggregating.accumulate_avg_updates(2),
    "examples of parts": lambda: gradtx.chain(
        gradtx.stateless(zoo.one_example), aggregating.average_incrementally_updates(0, 2)
    ),
    "mean and variance": lambda: gradtx.chain(
        gradtx.stateless(zoo.one_example), aggregating.add_mean_variance_to_opt(gradtx.adam(1e-2))
    ),
    "mean and variance of parts": lambda: gradtx.chain(
        gradtx.stateless(zoo.one_example), aggregating.add_mean_variance_to_opt(gradtx.adam(1e-2), accumulation_steps=2)
    ),
}


@pytest.mark.parametrize("label", TRANSFORMATIONS)
def test_laws_hold(label):
    laws = None if label in ("parts", "mean and variance of parts") else COMPOSED_LAWS.values()
    testing.check_transformation(TRANSFORMATIONS[label](), testing.sample_params(), laws=laws)


def test_an_aggregator_stays_one_and_is_a_value():
    made = [aggregating.add_mean_variance_to_opt(gradtx.adam(0.1), accumulation_steps=2) for _ in range(2)]
    assert isinstance(made[0], aggregating.Aggregator)
    assert made[0] == made[1] == pickle.loads(pickle.dumps(made[0]))
    assert repr(made[0]) == "add_mean_variance_to_opt(adam(0.1), accumulation_steps=2)"
    assert isinstance(aggregating.average_incrementally_updates(0, 2), aggregating.Aggregator)
    assert not isinstance(aggregating.average_incrementally_updates(None, 2), aggregating.Aggregator)


def test_the_optimizer_waits_for_the_last_part():
    tx = aggregating.process(gradtx.identity(), aggregating.accumulate_avg_updates(3), gradtx.adam(0.1))
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    updates, state = run(tx, PARAMS, ones, ones)
    chex.assert_trees_all_equal(updates, jax.tree.map(jnp.zeros_like, PARAMS))
    assert gradtx.tree.get(state, "ScaleByAdamState.count") == 0
    updates, state = tx.update(ones, state, PARAMS)
    chex.assert_trees_all_close(updates, jax.tree.map(lambda p: jnp.full_like(p, -0.1), PARAMS), rtol=1e-5)
    assert gradtx.tree.get(state, "ScaleByAdamState.count") == 1


def test_parts_in_half_precision_are_averaged_in_float32():
    params = {"w": jnp.zeros(2, jnp.bfloat16)}
    gradients = [{"w": jnp.full((1, 2), x, jnp.bfloat16)} for x in (256, 1, 1, 1)]
    updates, state = run(aggregating.add_mean_variance_to_opt(gradtx.sgd(1.0), accumulation_steps=4), params, *gradients)
    assert updates["w"].dtype == jnp.bfloat16
    mean, variance = aggregating.get_unbiased_mean_and_variance_ema(state)
    assert mean["w"].dtype == variance["w"].dtype == jnp.float32
    np.testing.assert_allclose(mean["w"], jnp.bfloat16(259 / 4), rtol=1e-6)
    np.testing.assert_allclose(variance["w"], np.var([256, 1, 1, 1], ddof=1), rtol=1e-6)


def test_a_large_mean_does_not_cancel_the_variance():
    gradients = 1e4 + of_examples(8, jnp.zeros(5))
    _, state = run(aggregating.add_mean_variance_to_opt(gradtx.sgd(1.0), accumulation_steps=2), jnp.zeros(5), *[gradients] * 2)
    _, variance = aggregating.get_unbiased_mean_and_variance_ema(state)
    np.testing.assert_allclose(variance, np.var(np.tile(np.float64(gradients), (2, 1)), 0, ddof=1), rtol=1e-4)


def test_variances_of_complex_gradients_are_real():
    params = jnp.zeros(2, jnp.complex64)
    gradients = jnp.asarray([[1 + 1j, 2], [1 - 1j, 2j]], jnp.complex64)
    _, state = run(aggregating.add_mean_variance_to_opt(gradtx.sgd(1.0)), params, gradients)
    mean, variance = aggregating.get_unbiased_mean_and_variance_ema(state)
    np.testing.assert_allclose(mean, [1, 1 + 1j], rtol=1e-6)
    assert variance.dtype == jnp.float32
    np.testing.assert_allclose(variance, [2, 4], rtol=1e-6)


def test_one_example_has_a_variance_of_zero():
    _, state = run(aggregating.add_mean_variance_to_opt(gradtx.sgd(1.0)), PARAMS, of_examples(1))
    _, variance = aggregating.get_unbiased_mean_and_variance_ema(state)
    chex.assert_trees_all_equal(variance, jax.tree.map(jnp.zeros_like, PARAMS))


def test_averages_are_zero_before_the_first_step():
    state = aggregating.add_mean_variance_to_opt(gradtx.sgd(1.0)).init(PARAMS)
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    chex.assert_trees_all_equal(aggregating.get_unbiased_mean_and_variance_ema(state), (zeros, zeros))


def test_a_parameter_may_be_called_ready():
    params = {"ready": jnp.zeros(2)}
    tx = aggregating.add_mean_variance_to_opt(gradtx.sgd(1.0), accumulation_steps=2)
    updates, _ = run(tx, params, *[of_examples(3, params)] * 2)
    chex.assert_trees_all_close(updates, jax.tree.map(lambda g: -g.mean(0), of_examples(3, params)), rtol=1e-5)


def test_an_array_as_decay_survives_the_donation_of_the_state():
    decay = jnp.asarray(0.9)
    tx = aggregating.add_mean_variance_to_opt(gradtx.sgd(1.0), decay)
    jax.jit(lambda state: state, donate_argnums=0)(tx.init(PARAMS))
    assert decay == jnp.float32(0.9)


def test_extra_arguments_go_to_who_reads_them():
    tx = aggregating.process(gradtx.identity(), aggregating.average_per_element_updates(), gradtx.polyak_sgd())
    updates, _ = run(tx, PARAMS, of_examples(4), value=jnp.asarray(1.0))
    assert all(jnp.any(u != 0) for u in jax.tree.leaves(updates))
    with pytest.raises(TypeError, match="nothing here reads the extra argument 'valeu'"):
        tx.update(of_examples(4), tx.init(PARAMS), PARAMS, valeu=1.0)


def test_transformations_of_optax_aggregate_too():
    theirs: Any = optax.experimental.aggregating
    tx = aggregating.process(gradtx.identity(), theirs.average_incrementally_updates(0, 2), gradtx.sgd(1.0))
    updates, _ = run(tx, PARAMS, of_examples(4), of_examples(4))
    chex.assert_trees_all_close(updates, jax.tree.map(lambda g: -g.mean(0), of_examples(4)), rtol=1e-5)


def test_examples_are_counted_over_all_their_axes():
    assert aggregating.get_batch_size_from_per_elt_updates({}, 0) == 0
    assert aggregating.get_batch_size_from_per_elt_updates({"a": jnp.zeros((3, 2)), "b": jnp.zeros((3, 2, 5))}, (0, 1)) == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: aggregating.get_batch_size_from_per_elt_updates({"a": jnp.zeros((3, 2)), "b": jnp.zeros((4, 2))}, 0),
            r"as many examples along the axes \(0,\), got 3 in updates\['a'\], 4 in updates\['b'\]",
        ),
        (
            lambda: aggregating.get_batch_size_from_per_elt_updates({"a": jnp.zeros(3)}, [0, 1]),
            r"updates\['a'\] has shape \(3,\): it has no axes \(0, 1\) for the examples",
        ),
        (
            lambda: run(aggregating.average_per_element_updates(), PARAMS, of_examples(0)),
            "average_per_element_updates: there is no average of no examples",
        ),
        (lambda: aggregating.accumulate_avg_updates(0), "accumulation_steps must be at least 1, got 0"),
        (lambda: aggregating.get_per_element_mean_and_sum_sq_diff_grads(0, 0), "accumulation_steps must be at least 1"),
        (lambda: aggregating.add_mean_variance_to_opt(gradtx.sgd(1.0), 1.0), "ema_decay must be at least 0 and below 1"),
    ],
)
def test_what_cannot_be_averaged_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_averages_are_read_from_one_state_that_has_them():
    with pytest.raises(ValueError, match="no optimizer with add_mean_variance_to_opt"):
        aggregating.get_unbiased_mean_and_variance_ema(gradtx.adam(0.1).init(PARAMS))
