import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from keras_schedules_cases import CASES, STEPS, call

import gradtx
from gradtx.interop import keras

RECORDED = recorded.read("keras_schedules")
COUNTS = STEPS.astype(np.int32)

every_schedule = pytest.mark.parametrize(("name", "arguments"), CASES, ids=[call(*case) for case in CASES])


def made(name: str, arguments: dict[str, Any]) -> Any:
    return getattr(keras, name)(**arguments)


@every_schedule
def test_a_schedule_has_the_values_of_keras_in_float64(x64, name, arguments):
    values = made(name, arguments)(jnp.asarray(COUNTS))
    assert values.dtype == jnp.float64
    np.testing.assert_allclose(values, RECORDED[call(name, arguments)], rtol=1e-12, atol=1e-14)


@every_schedule
def test_a_schedule_has_the_values_of_keras_in_float32_at_counts_up_to_two_millions(name, arguments):
    values = jax.jit(made(name, arguments))(jnp.asarray(COUNTS))
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(values, RECORDED[call(name, arguments)], rtol=4e-6, atol=1e-7)


def test_every_schedule_of_keras_is_recorded():
    assert {call(*case) for case in CASES} == RECORDED.keys()


def test_restarts_are_on_time_in_float32_at_large_counts():
    for first, factor in ((1000, 2), (1, 2.0), (7, 3.0), (5, 1.0)):
        schedule = keras.cosine_decay_restarts(1.0, first, factor)
        starts = [first * sum(factor**i for i in range(n)) for n in range(40)]
        starts = jnp.array([int(start) for start in starts if start < 2**31], jnp.int32)
        np.testing.assert_array_equal(schedule(starts), jnp.ones(len(starts)))
        np.testing.assert_array_less(schedule(starts[2:] - 1), 0.6)


def test_a_cycle_that_begins_between_two_steps_has_begun_before_the_second(x64):
    # The cycles of 1, 1.5 and 2.25 steps begin at 0, 1 and 2.5.
    values = keras.cosine_decay_restarts(1.0, 1, 1.5)(jnp.arange(4))
    np.testing.assert_allclose(values, np.cos(np.pi / 2 * np.array([0, 0, 1 / 1.5, 0.5 / 2.25])) ** 2, rtol=1e-14)


def test_a_boundary_belongs_to_the_value_before_it():
    schedule = keras.piecewise_constant_decay([3, 5], [1.0, 0.5, 0.25])
    np.testing.assert_array_equal(schedule(jnp.arange(8)), [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25])
    own = gradtx.piecewise_constant_schedule(1.0, {3: 0.5, 5: 0.5})
    np.testing.assert_array_equal(own(jnp.arange(8)), [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25])


@every_schedule
def test_a_schedule_is_a_value(name, arguments):
    schedule = made(name, arguments)
    assert schedule == made(name, arguments)
    assert hash(schedule) == hash(made(name, arguments))
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert repr(schedule).startswith(f"{name}(")


def test_a_schedule_is_the_learning_rate_of_an_optimizer():
    tx = gradtx.sgd(keras.piecewise_constant_decay([0], [1.0, 0.5]))
    params = jnp.ones(3)
    first, state = tx.update(params, tx.init(params), params)
    second, _ = tx.update(params, state, params)
    np.testing.assert_array_equal(first, -jnp.ones(3))
    np.testing.assert_array_equal(second, -0.5 * jnp.ones(3))


def test_heights_and_lengths_may_be_traced():
    traced = jax.jit(lambda lr, steps, power: keras.polynomial_decay(lr, steps, 0.01, power, cycle=True)(45))(0.1, 30, 2.0)
    np.testing.assert_allclose(traced, keras.polynomial_decay(0.1, 30, 0.01, 2.0, cycle=True)(45), rtol=1e-6)
    rates = jax.vmap(lambda m_mul: keras.cosine_decay_restarts(0.1, 10, m_mul=m_mul)(10))(jnp.array([1.0, 0.5]))
    np.testing.assert_allclose(rates, [0.1, 0.05], rtol=1e-6)


def test_values_and_boundaries_must_alternate_in_order():
    with pytest.raises(ValueError, match="piecewise_constant_decay: 2 boundaries part 3 values, got 2"):
        keras.piecewise_constant_decay([1, 2], [1.0, 2.0])
    with pytest.raises(ValueError, match="the boundary after 6 must be at least 6"):
        keras.piecewise_constant_decay([5, 2], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("name", ["exponential_decay", "inverse_time_decay"])
def test_a_decay_takes_at_least_one_step(name):
    with pytest.raises(ValueError, match=f"{name}: decay_steps must be at least 1 .*, got 0"):
        made(name, {"initial_learning_rate": 0.1, "decay_steps": 0, "decay_rate": 0.5})


def test_cycles_cannot_become_shorter():
    with pytest.raises(ValueError, match=r"cosine_decay_restarts: t_mul must be at least 1, got 0\.5"):
        keras.cosine_decay_restarts(0.1, 10, t_mul=0.5)
