import enum
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from transformers_schedules_cases import CASES, LR, NAMED, STEPS, label

import gradtx
from gradtx.interop import transformers

RECORDED = recorded.read("transformers_schedules")
CALLS = {label(name, arguments): lambda n=name, a=arguments: getattr(transformers, n)(LR, **a) for name, arguments in CASES}
CALLS |= {label(name, a): lambda n=name, a=a: transformers.get_scheduler(n, LR, **a) for name, a in NAMED}
COUNTS = STEPS.astype(np.int32)


@pytest.mark.parametrize("call", CALLS)
def test_every_schedule_has_the_values_of_transformers_in_float64(x64, call):
    values = CALLS[call]()(jnp.asarray(COUNTS))
    assert values.dtype == jnp.float64
    assert np.all(np.abs(values - RECORDED[call]) <= 1e-12 * LR * _waves(call))


def _waves(call):
    """Of waves that go on after the training: how much larger than 2π the argument of the cosine is."""
    end = re.search(r"'?num_training_steps'?[=:] ?(\d+)", call)
    return np.maximum(1, COUNTS / int(end[1])) if end else 1


@pytest.mark.parametrize("call", CALLS)
def test_every_schedule_has_the_values_of_transformers_in_float32_at_counts_up_to_a_million(call):
    values = jax.jit(CALLS[call]())(jnp.asarray(COUNTS))
    assert values.dtype == jnp.float32
    assert np.all(np.abs(values - RECORDED[call]) <= 1e-6 * LR * _waves(call))


def test_what_is_recorded_is_what_is_compared():
    assert RECORDED.keys() == CALLS.keys()


def test_a_long_linear_or_cosine_fall_keeps_its_last_digits_in_float32():
    # Of 1 − t/10⁶ float32 would keep one digit here.
    steps = {"num_warmup_steps": 0, "num_training_steps": 1_000_000}
    count = 999_999
    linear = transformers.get_linear_schedule_with_warmup(1.0, **steps)(count)
    cosine = transformers.get_cosine_schedule_with_warmup(1.0, **steps)(count)
    stable = transformers.get_wsd_schedule(1.0, 0, 1_000_000, 1_000_000, decay_type="1-sqrt")(count)
    np.testing.assert_allclose([linear, cosine, stable], [1e-6, np.sin(np.pi / 2e6) ** 2, 5.00000125e-07], rtol=1e-6)


def test_hard_restarts_are_on_time_however_many_there_are(x64):
    # 22·(15/22) is 14.999999999999998 in transformers, the end of a cycle.
    schedule = transformers.get_cosine_with_hard_restarts_schedule_with_warmup(LR, 0, 22, num_cycles=22)
    np.testing.assert_allclose(schedule(jnp.arange(23)), [LR] * 22 + [0.0], rtol=1e-15)


@pytest.mark.parametrize(("name", "arguments"), NAMED)
def test_a_schedule_of_any_name_is_a_value(name, arguments):
    schedule, again = (transformers.get_scheduler(name, 0.125, **arguments) for _ in range(2))
    assert schedule == again
    assert hash(schedule) == hash(again)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert schedule != transformers.get_scheduler(name, 0.25, **arguments)
    assert repr(schedule).startswith(f"get_scheduler({name!r}, 0.125")


def test_a_name_may_be_a_member_of_an_enumeration():
    class SchedulerType(str, enum.Enum):  # noqa: UP042  # as in transformers
        LINEAR = "linear"

    assert transformers.get_scheduler(SchedulerType.LINEAR, 1.0, 1, 9)(5) == 0.5


def test_a_schedule_is_the_learning_rate_of_an_optimizer():
    lr = transformers.get_linear_schedule_with_warmup(0.5, 2, 10)
    tx = gradtx.sgd(lr)
    params = jnp.ones(3)
    state = tx.init(params)
    moves = []
    for _ in range(4):
        updates, state = tx.update(jnp.ones(3), state, params)
        moves.append(float(updates[0]))
    np.testing.assert_allclose(moves, [0.0, -0.25, -0.5, -0.5 * 7 / 8], rtol=1e-6)


def test_numbers_of_a_schedule_may_be_traced():
    def value(lr, warmup, steps, cycles):
        return transformers.get_cosine_with_min_lr_schedule_with_warmup(lr, warmup, steps, cycles, min_lr_rate=0.1)(30)

    traced = jax.jit(value)(0.3, 10, 100, 1.5)
    np.testing.assert_allclose(traced, value(0.3, 10, 100, 1.5), rtol=1e-6)
    rates = jax.vmap(lambda warmup: transformers.get_inverse_sqrt_schedule(0.3, warmup)(100))(jnp.array([0, 10]))
    np.testing.assert_allclose(rates, [0.3 * (10_000 / 10_100) ** 0.5, 0.3 * 0.1**0.5], rtol=1e-6)


@pytest.mark.parametrize("name", [name for name, _ in NAMED if name != "constant"])
def test_the_number_of_steps_of_the_warmup_must_be_given(name):
    with pytest.raises(ValueError, match=rf"get_scheduler: '{name}' needs num_warmup_steps\."):
        transformers.get_scheduler(name, 1e-3, num_training_steps=10)


@pytest.mark.parametrize("name", ["linear", "cosine", "cosine_with_restarts", "polynomial", "cosine_with_min_lr"])
def test_the_number_of_steps_of_the_training_must_be_given(name):
    with pytest.raises(ValueError, match=rf"get_scheduler: '{name}' needs num_training_steps\."):
        transformers.get_scheduler(name, 1e-3, num_warmup_steps=10)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="'cosin' is not that of a schedule; known are linear, cosine, cosine_with_restarts, "):
        transformers.get_scheduler("cosin", 1e-3)


@pytest.mark.parametrize("name", ["reduce_lr_on_plateau", "greedy"])
def test_what_reads_the_loss_is_no_schedule(name):
    with pytest.raises(ValueError, match=rf"'{name}' reads the loss.*chain your optimizer with gradtx\.interop\."):
        transformers.get_scheduler(name, 1e-3)


@pytest.mark.parametrize(("name", "arguments"), NAMED)
def test_an_argument_that_a_schedule_does_not_know_is_refused_by_name(name, arguments):
    unknown = {**arguments.get("scheduler_specific_kwargs", {}), "num_cicles": 1}
    with pytest.raises(TypeError, match="num_cicles"):
        transformers.get_scheduler(name, 1e-3, **{**arguments, "scheduler_specific_kwargs": unknown})


def test_one_of_min_lr_and_min_lr_rate_must_be_given():
    for factory in (
        transformers.get_cosine_with_min_lr_schedule_with_warmup,
        transformers.get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
    ):
        with pytest.raises(ValueError, match="takes one of min_lr and min_lr_rate, got min_lr=None and min_lr_rate=None"):
            factory(1e-3, 1, 10)
        with pytest.raises(ValueError, match=r"takes one of min_lr and min_lr_rate, got min_lr=0\.1 and min_lr_rate=0\.2"):
            factory(1e-3, 1, 10, min_lr=0.1, min_lr_rate=0.2)


def test_a_polynomial_must_end_below_its_beginning():
    with pytest.raises(ValueError, match=r"lr_end must be less than lr \(1e-08\), got 1e-07"):
        transformers.get_polynomial_decay_schedule_with_warmup(1e-8, 1, 10)


def test_arguments_of_wsd_must_say_what_is_meant():
    with pytest.raises(ValueError, match="takes num_training_steps or num_stable_steps, got neither"):
        transformers.get_wsd_schedule(1e-3, 1, 2)
    with pytest.raises(ValueError, match='warmup_type must be "linear", "cosine" or "1-sqrt", got'):
        transformers.get_wsd_schedule(1e-3, 1, 2, 10, warmup_type="sqrt")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match='decay_type must be "linear", "cosine" or "1-sqrt", got'):
        transformers.get_wsd_schedule(1e-3, 1, 2, 10, decay_type="exponential")  # pyright: ignore[reportArgumentType]
    with pytest.warns(UserWarning, match="take 6 steps, not the 10 of num_training_steps"):
        transformers.get_wsd_schedule(1e-3, 1, 2, 10, num_stable_steps=3)
    transformers.get_wsd_schedule(1e-3, 1, 2, 6, num_stable_steps=3)  # they agree


def test_a_negative_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="get_linear_schedule_with_warmup: num_warmup_steps must be at least 0"):
        transformers.get_linear_schedule_with_warmup(1e-3, -1, 10)
