import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from transformers_greedy_cases import CASES, label, values

import gradtx
from gradtx.interop.transformers import greedy_lr
from gradtx.testing import check_transformation, sample_params

RECORDED = recorded.read("transformers_greedy")


def rates(options, dtype):
    """The learning rate of each step, as it is in an update of SGD."""
    tx = gradtx.chain(gradtx.sgd(options["lr"]), greedy_lr(**options))
    params = jnp.zeros((), dtype)

    def step(state, value):
        updates, state = tx.update(jnp.ones((), dtype), state, params, value=value)
        return state, -updates

    return jax.jit(lambda values: jax.lax.scan(step, tx.init(params), values)[1])(jnp.asarray(values(), dtype))


@pytest.mark.parametrize("options", CASES, ids=label)
def test_the_learning_rate_is_that_of_transformers_in_float64(x64, options):
    expected = RECORDED[label(options)]
    assert len(np.unique(expected)) > 3
    np.testing.assert_allclose(rates(options, jnp.float64), expected, rtol=1e-12)


@pytest.mark.parametrize("options", CASES, ids=label)
def test_the_learning_rate_is_that_of_transformers_in_float32(options):
    np.testing.assert_allclose(rates(options, jnp.float32), RECORDED[label(options)], rtol=1e-5)


@pytest.mark.parametrize("options", CASES[5:7], ids=label)
def test_only_the_value_of_the_last_step_of_each_epoch_is_read(x64, options):
    tx = greedy_lr(**options, every=3)
    params = jnp.zeros((), jnp.float64)

    def step(state, value):
        _, state = tx.update(params, state, params, value=value)
        return state, state.learning_rate

    given = np.full((len(values()), 3), np.nan)
    given[:, 2] = values()
    found = jax.lax.scan(step, tx.init(params), jnp.asarray(given.ravel()))[1]
    np.testing.assert_allclose(found[2:-1:3], RECORDED[label(options)][1:], rtol=1e-12)
    np.testing.assert_array_equal(found[:2], options["lr"])


@pytest.mark.parametrize("smooth", [False, True])
def test_keeps_the_laws(smooth):
    check_transformation(
        greedy_lr(0.1, patience=0, smooth=smooth, window_size=3, every=2), sample_params(), extra_args={"value": 1.0}
    )


def test_words_and_numbers_are_checked():
    with pytest.raises(ValueError, match='mode must be "min" or "max", got \'least\''):
        greedy_lr(0.1, mode="least")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match='threshold_mode must be "rel" or "abs", got \'relative\''):
        greedy_lr(0.1, threshold_mode="relative")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="greedy_lr: lr must be a number, got a function"):
        greedy_lr(gradtx.constant_schedule(0.1))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="greedy_lr: factor must be above 0 and below 1, got 1"):
        greedy_lr(0.1, factor=1.0)


def test_the_value_must_be_given_and_be_one_number():
    tx = greedy_lr(0.1)
    state = tx.init(jnp.ones(3))
    with pytest.raises(TypeError, match="greedy_lr reads 'value'"):
        tx.update(jnp.ones(3), state)
    with pytest.raises(ValueError, match="greedy_lr: value must be a scalar"):
        tx.update(jnp.ones(3), state, value=jnp.ones(2))
