"""Momentum: the dtypes of its state, and what it refuses."""

import chex
import jax.numpy as jnp
import pytest

import gradtx
from gradtx.transforms.momentum import EmaState, TraceState, ema, trace

PARAMS = {"real": jnp.ones(2, jnp.bfloat16), "complex": jnp.ones(2, jnp.complex64)}


@pytest.mark.parametrize(("chosen", "real"), [(None, jnp.float32), (jnp.bfloat16, jnp.bfloat16)])
def test_sums_and_averages_of_complex_gradients_are_complex(chosen, real):
    expected = {"real": jnp.zeros(2, real), "complex": jnp.zeros(2, jnp.complex64)}
    chex.assert_trees_all_equal(trace(0.9, accumulator_dtype=chosen).init(PARAMS), TraceState(expected))
    chex.assert_trees_all_equal(ema(0.9, accumulator_dtype=chosen).init(PARAMS), EmaState(jnp.int32(0), expected))


def test_the_imaginary_part_is_summed_too():
    tx, g = trace(0.5, accumulator_dtype=jnp.bfloat16), {"w": jnp.asarray([1 + 2j], jnp.complex64)}
    _, state = tx.update(g, tx.init(g))
    chex.assert_trees_all_close(tx.update(g, state)[0], {"w": 1.5 * g["w"]})


def test_the_first_average_is_the_gradient_itself():
    g = jnp.asarray([0.3, -2.0])
    chex.assert_trees_all_close(ema(0.9).update(g, ema(0.9).init(g))[0], g)
    chex.assert_trees_all_close(ema(0.9, debias=False).update(g, ema(0.9).init(g))[0], 0.1 * g, rtol=1e-6)


def test_a_decay_of_one_sums_all_gradients():
    for tx in (trace(1.0), gradtx.sgd(1.0, momentum=1.0)):
        state = tx.init(jnp.ones(2))
        updates = []
        for _ in range(3):
            u, state = tx.update(jnp.ones(2), state)
            updates.append(u)
        chex.assert_trees_all_close(jnp.abs(updates[-1]), 3 * jnp.ones(2))


def test_what_would_grow_or_truncate_is_refused():
    with pytest.raises(ValueError, match=r"trace: decay must be at least -1 and at most 1, got 1.5"):
        trace(1.5)
    with pytest.raises(ValueError, match=r"ema: decay must be at least 0 and below 1, got -0\.1"):
        ema(-0.1)
    for name, make in (("trace", trace), ("ema", ema)):
        with pytest.raises(TypeError, match=f"{name}: a moment needs a floating-point dtype, got int32"):
            make(0.9, accumulator_dtype=jnp.int32)


def test_a_weighted_average_is_the_sum_of_what_has_weights_over_the_weights():
    weights, gradients = [0.0, 0.25, 1.0, 0.0], [3.0, 1.0, -2.0, 5.0]
    tx = gradtx.weighted_ema(0.5, lambda count: jnp.asarray(weights)[count])
    state = tx.init(jnp.zeros(()))
    for t, g in enumerate(gradients):
        u, state = tx.update(jnp.asarray(g), state)
        of_each = [0.5 ** (t - k) * weights[k] for k in range(t + 1)]
        total = sum(of_each)
        expected = sum(w * g for w, g in zip(of_each, gradients, strict=False)) / total if total else 0
        chex.assert_trees_all_close(u, jnp.asarray(expected), rtol=1e-6)


def test_with_equal_weights_it_is_the_debiased_average():
    plain, weighted = ema(0.9), gradtx.weighted_ema(0.9, 0.01)
    states = plain.init(jnp.zeros(2)), weighted.init(jnp.zeros(2))
    for g in ([1.0, 2.0], [-3.0, 0.5], [0.0, 7.0]):
        expected, first = plain.update(jnp.asarray(g), states[0])
        u, second = weighted.update(jnp.asarray(g), states[1])
        states = first, second
        chex.assert_trees_all_close(u, expected, rtol=1e-6)
