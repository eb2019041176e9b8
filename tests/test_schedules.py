"""Schedules against Optax and PyTorch, at their edges, and as values."""

import math
import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import recorded
from hypothesis import given, settings
from hypothesis import strategies as st

from gradtx import schedules

LAST = 2**31 - 1
TORCH = recorded.read("torch_schedulers")  # of a learning rate of 0.3

# name, arguments: what Optax has too
CASES = {
    "constant": ("constant_schedule", (0.3,)),
    "line": ("linear_schedule", (0.2, 1.5, 10)),
    "line that begins late": ("linear_schedule", (1.5, 0.2, 7, 5)),
    "line of no steps": ("linear_schedule", (0.2, 1.5, 0)),
    "line of a fractional number of steps": ("linear_schedule", (0.2, 1.5, 7.5, 2.5)),
    "polynomial": ("polynomial_schedule", (1.0, 0.1, 2.5, 10, 3)),
    "square": ("polynomial_schedule", (1.0, -0.1, 2, 10)),
    "exponential": ("exponential_decay", (0.5, 4, 0.8)),
    "exponential growth": ("exponential_decay", (0.5, 4, 1.3, 3, False, 2.0)),
    "exponential to a least value": ("exponential_decay", (0.5, 4, 0.5, 0, False, 0.1)),
    "exponential that begins below its least value": ("exponential_decay", (0.5, 4, 0.5, 5, False, 0.7)),
    "exponential of no steps": ("exponential_decay", (0.5, 0, 0.8)),
    "stairs": ("exponential_decay", (0.5, 3, 0.7, 2, True)),
    "cosine": ("cosine_decay_schedule", (1.0, 11)),
    "cosine of a power": ("cosine_decay_schedule", (1.0, 11, 0.1, 1.7)),
    "jumps": ("piecewise_constant_schedule", (1.0, {9: 0.3, 4: 0.5, 0: 2.0, 20: 0.0})),
    "no jumps": ("piecewise_constant_schedule", (1.0,)),
    "lines": ("piecewise_interpolate_schedule", ("linear", 1.0, {3: 2.0, 12: 0.1, 15: 0.5})),
    "half cosines": ("piecewise_interpolate_schedule", ("cosine", 1.0, {12: 0.1, 3: 2.0, 15: 0.5})),
    "curve of no steps": ("piecewise_interpolate_schedule", ("cosine", 1.0, {0: 0.5})),
    "curve without breakpoints": ("piecewise_interpolate_schedule", ("linear", 1.0)),
    "warm-up": ("warmup_constant_schedule", (0.1, 0.9, 6)),
    "warm-up and cosine": ("warmup_cosine_decay_schedule", (0.1, 0.9, 6, 20, 0.05, 1.3)),
    "cosine without warm-up": ("warmup_cosine_decay_schedule", (0.1, 0.9, 0, 20)),
    "warm-up and exponential": ("warmup_exponential_decay_schedule", (0.1, 0.9, 6, 3, 0.6, 2, True, 0.2)),
    "one cycle of lines": ("linear_onecycle_schedule", (20, 0.7)),
    "one cycle of cosines": ("cosine_onecycle_schedule", (20, 0.7, 0.4, 10.0, 100.0)),
    "warm restarts": (
        "sgdr_schedule",
        (
            [
                {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": 7, "end_value": 0.1},
                {"init_value": 0.1, "peak_value": 0.5, "warmup_steps": 0, "decay_steps": 10, "exponent": 2.0},
                {"init_value": 0.0, "peak_value": 0.2, "warmup_steps": 3, "decay_steps": 6},
            ],
        ),
    ),
}

# ... and what only gradtx has
OWN = {
    "steps": ("step_decay_schedule", (0.5, 4)),
    "many steps": ("multi_step_decay_schedule", (0.5, (7, 3, 3), 0.5)),
    "a part of a cosine": ("scaled_schedule", (schedules.cosine_decay_schedule(0.5, 11), 0.3)),
    "a decay like the rate": ("corrected_weight_decay_schedule", (0.1, schedules.cosine_decay_schedule(0.5, 11), 0.5)),
    "power cooldown": ("power_cooldown_schedule", (0.5, 0.02, 20)),
    "warm-up, constant and line": ("warmup_stable_decay_schedule", (0.1, 0.9, 3, 4, 5, 0.2)),
    "warm-up, constant and root": ("warmup_stable_decay_schedule", (0.0, 0.9, 3, 0, 9, 0.0, "1-sqrt")),
    "AdEMAMix's weight": ("ademamix_weight_schedule", (5.0, 7)),
    "AdEMAMix's decay": ("ademamix_decay_schedule", (0.9, 0.9999, 9)),
}

each_case = pytest.mark.parametrize(("name", "args"), CASES.values(), ids=CASES.keys())
each_schedule = pytest.mark.parametrize(("name", "args"), [*CASES.values(), *OWN.values()], ids=[*CASES, *OWN])


def make(name, args):
    return getattr(schedules, name)(*args)


def values(schedule, steps):
    """One call for each step, as in training."""
    return np.array([schedule(jnp.asarray(step, jnp.int32)) for step in steps])


def optax_values(schedule, steps):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return np.array([schedule(jnp.asarray(step, float)) for step in steps])


@each_case
def test_a_schedule_equals_that_of_optax_in_float64(name, args, x64):
    expected = optax_values(getattr(optax, name)(*args), range(26))
    np.testing.assert_allclose(values(make(name, args), range(26)), expected, rtol=1e-14, atol=1e-16)


@each_case
def test_a_schedule_equals_that_of_optax_in_float32(name, args):
    expected = optax_values(getattr(optax, name)(*args), range(26))
    np.testing.assert_allclose(values(make(name, args), range(26)), expected, rtol=2e-6, atol=2e-7)


@each_schedule
def test_a_count_may_be_a_number_an_array_traced_or_batched(name, args):
    schedule = make(name, args)
    counts = jnp.arange(26)
    expected = values(schedule, range(26))
    ints = [schedule(step) for step in range(26)]
    for array in ints:
        assert isinstance(array, jax.Array)
        assert array.shape == ()
        assert array.dtype == jnp.float32
        assert not array.weak_type
    for got in (
        jnp.stack(ints),
        schedule(counts),
        schedule(counts.astype(jnp.uint32)),
        schedule(counts.reshape(2, 13)).reshape(-1),
        jax.jit(schedule)(counts),
        jax.vmap(schedule)(counts),
        jax.lax.map(schedule, counts),
    ):
        chex.assert_trees_all_close(got, expected, rtol=1e-6)


@each_schedule
def test_a_schedule_returns_the_default_float_dtype(name, args, x64):
    for count in (3, jnp.int32(3), jnp.arange(4)):
        assert make(name, args)(count).dtype == jnp.float64


@each_schedule
def test_a_schedule_is_finite_at_the_last_step_that_can_be_counted(name, args):
    schedule = make(name, args)
    chex.assert_tree_all_finite(schedule(LAST))
    if name != "exponential_decay" and name != "step_decay_schedule":
        chex.assert_trees_all_close(schedule(LAST), schedule(100), rtol=1e-6)


@each_schedule
def test_equal_schedules_are_equal_values(name, args):
    schedule = make(name, args)
    assert schedule == make(name, args)
    assert hash(schedule) == hash(make(name, args))
    assert schedule != schedules.constant_schedule(17.0)
    assert repr(schedule).startswith(f"{name}(")
    copy = pickle.loads(pickle.dumps(schedule))
    assert copy == schedule
    chex.assert_trees_all_equal(copy(5), schedule(5))


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "int32"])
def test_hyperparameters_may_be_arrays_of_any_dtype(name):
    peaks = jnp.asarray([1, 2], name)

    def at_step_7(peak):
        return [
            schedules.linear_schedule(0.0, peak, 10)(jnp.int32(7)),
            schedules.cosine_decay_schedule(peak, 10, peak, peak)(jnp.int32(7)),
            schedules.exponential_decay(peak, 10, peak, end_value=peak)(jnp.int32(7)),
            schedules.piecewise_constant_schedule(peak, {3: peak})(jnp.int32(7)),
            schedules.warmup_cosine_decay_schedule(peak, peak, 3, 10, peak, peak)(jnp.int32(7)),
            schedules.piecewise_interpolate_schedule("cosine", peak, {3: peak, 9: peak})(jnp.int32(7)),
        ]

    batched = jnp.stack(jax.vmap(at_step_7)(peaks), axis=1)
    assert batched.dtype == jnp.float32
    chex.assert_trees_all_close(batched, jnp.stack([jnp.stack(at_step_7(peak)) for peak in (1.0, 2.0)]), rtol=1e-6)


def test_numbers_of_steps_may_be_traced():
    def at_step_7(steps):
        return [
            schedules.linear_schedule(0.0, 1.0, steps, steps)(7),
            schedules.exponential_decay(1.0, steps, 0.5, staircase=True)(7),
            schedules.warmup_cosine_decay_schedule(0.0, 1.0, steps, steps + 4)(7),
            schedules.warmup_constant_schedule(0.0, 1.0, steps)(7),
        ]

    batched = jnp.stack(jax.vmap(at_step_7)(jnp.arange(11)), axis=1)
    chex.assert_trees_all_close(batched, jnp.stack([jnp.stack(at_step_7(steps)) for steps in range(11)]), rtol=1e-6)


def test_a_schedule_can_be_differentiated_with_respect_to_its_values():
    def last(peak):
        return schedules.warmup_cosine_decay_schedule(0.0, peak, 5, 10)(jnp.int32(10)) + schedules.polynomial_schedule(
            peak, 0.0, 0.5, 10
        )(jnp.int32(10))

    assert jax.grad(last)(1.0) == 0


def test_steps_beyond_the_precision_of_float32_are_counted_one_by_one():
    begin = 2**30 + 1
    line = schedules.linear_schedule(0.0, 4.0, 4, begin)
    chex.assert_trees_all_equal(line(jnp.arange(begin - 1, begin + 6)), jnp.array([0.0, 0, 1, 2, 3, 4, 4]))
    stairs = schedules.exponential_decay(1.0, 2**25 + 1, 0.5, staircase=True)
    chex.assert_trees_all_equal(stairs(jnp.array([2**25, 2**25 + 1])), jnp.array([1.0, 0.5]))
    joined = schedules.join_schedules([schedules.constant_schedule(0.0), lambda count: count + 1.0], [LAST - 2])
    chex.assert_trees_all_equal(joined(jnp.array([LAST - 3, LAST - 2, LAST])), jnp.array([0.0, 1.0, 3.0]))


@pytest.mark.parametrize("period", [3, 7, 10, 49, 1000])
def test_stairs_jump_exactly_at_multiples_of_their_period(period):
    counts = jnp.arange(1, 200) * period
    got = schedules.step_decay_schedule(1.0, period, 0.99)(jnp.stack([counts - 1, counts]))
    exact = 0.99 ** np.stack([np.arange(199), np.arange(1, 200)])
    np.testing.assert_allclose(got, exact, rtol=1e-5)


LONG = 10**6
# Where one of two values is 0, or much less than the other.
LONG_SCHEDULES = {
    "fall": schedules.linear_schedule(1.0, 0.0, LONG),
    "rise": schedules.linear_schedule(0.0, 1.0, LONG),
    "rise that begins late": schedules.linear_schedule(0.0, 1.0, LONG - 7, 7),
    "power": schedules.polynomial_schedule(1.0, 0.0, 2, LONG),
    "cosine": schedules.cosine_decay_schedule(1.0, LONG),
    "warm-up": schedules.warmup_constant_schedule(0.0, 1.0, LONG),
    "warm-up and cosine": schedules.warmup_cosine_decay_schedule(0.0, 1.0, LONG // 2, LONG),
    "warm-up and exponential": schedules.warmup_exponential_decay_schedule(0.0, 1.0, LONG // 2, LONG, 0.1),
    "lines": schedules.piecewise_interpolate_schedule("linear", 1e-6, {LONG: 1e6}),
    "half cosines": schedules.piecewise_interpolate_schedule("cosine", 1e-12, {LONG: 1e12}),
    "one cycle of lines": schedules.linear_onecycle_schedule(LONG, 1.0, div_factor=1e6),
    "one cycle of cosines": schedules.cosine_onecycle_schedule(LONG, 1.0, div_factor=1e9),
    "warm restarts": schedules.sgdr_schedule(
        [{"init_value": 0.0, "peak_value": 1.0, "warmup_steps": LONG // 2, "decay_steps": LONG, "end_value": 0.0}]
    ),
}


@pytest.mark.parametrize("schedule", LONG_SCHEDULES.values(), ids=LONG_SCHEDULES)
def test_a_long_schedule_is_as_exact_in_float32_as_in_float64_also_where_it_is_near_zero(schedule):
    counts = np.concatenate([base + np.arange(-9, 10) for base in (0, 1000, LONG // 2, LONG)])
    counts = counts[counts >= 0].astype(np.int32)
    with jax.enable_x64(True):
        exact = np.asarray(schedule(counts))
    assert exact.dtype == np.float64
    np.testing.assert_allclose(jax.jit(schedule)(counts), exact, rtol=2e-6)


def test_a_cosine_is_exact_near_its_end_in_float32():
    counts = np.arange(99_990, 100_000)
    exact = np.sin(np.pi / 2 * (100_000 - counts) / 100_000) ** 2
    np.testing.assert_allclose(schedules.cosine_decay_schedule(1.0, 100_000)(jnp.asarray(counts)), exact, rtol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("steps", [3, 7, 10, 41, 10_007, 2**24 + 1])
def test_a_line_hits_both_ends_exactly(steps, compiled):
    line = schedules.linear_schedule(1e-8, 3.0, steps)
    line = jax.jit(line) if compiled else line
    assert line(0) == jnp.float32(1e-8)
    assert line(steps) == 3
    assert line(1) <= 3


@given(
    init=st.floats(-10, 10),
    end=st.floats(-10, 10),
    power=st.floats(0.25, 4),
    steps=st.integers(0, LAST),
    begin=st.integers(0, LAST),
    count=st.integers(0, LAST),
)
@settings(deadline=None, max_examples=50)
def test_a_polynomial_stays_between_its_ends(init, end, power, steps, begin, count):
    value = schedules.polynomial_schedule(init, end, power, steps, begin)(count)
    assert min(init, end) - 1e-5 <= value <= max(init, end) + 1e-5


def test_a_rise_to_a_constant_of_no_steps_is_the_constant():
    # Optax stays at the initial value forever.
    chex.assert_trees_all_equal(schedules.warmup_constant_schedule(0.0, 0.9, 0)(jnp.arange(3)), jnp.full(3, 0.9))


def test_a_cosine_from_a_peak_of_zero_still_reaches_its_end():
    # Optax divides by the peak, and stays at 0.
    assert schedules.warmup_cosine_decay_schedule(0.0, 0.0, 2, 10, end_value=0.1)(10) == jnp.float32(0.1)


def test_a_cycle_of_one_step_begins_at_its_first_value():
    # In Optax the boundaries of the lines overwrite each other.
    cycle = schedules.linear_onecycle_schedule(1, 1.0)
    chex.assert_trees_all_close(cycle(jnp.arange(3)), jnp.array([1 / 25, 4e-6, 4e-6]), rtol=1e-6)


def test_step_decay_equals_that_of_torch(x64):
    got = values(schedules.step_decay_schedule(0.3, 7, 0.1), range(130))
    np.testing.assert_allclose(got, TORCH["StepLR(step_size=7)"][:130], rtol=1e-13)


def test_multi_step_decay_equals_that_of_torch(x64):
    got = values(schedules.multi_step_decay_schedule(0.3, [5, 0, 40, 5], 0.5), range(130))
    np.testing.assert_allclose(got, TORCH["MultiStepLR(milestones=[0, 5, 5, 40], gamma=0.5)"][:130], rtol=1e-14)


def test_joined_schedules_follow_each_other_like_those_of_optax(x64):
    def members(module):
        return [module.linear_schedule(0.0, 1.0, 4), module.exponential_decay(1.0, 2, 0.5), lambda count: 0.25]

    expected = optax_values(optax.join_schedules(members(optax), [4, 9]), range(15))
    got = values(schedules.join_schedules(members(schedules), [4, 9]), range(15))
    np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_a_joined_schedule_never_sees_a_negative_count():
    joined = schedules.join_schedules([schedules.constant_schedule(0.0), lambda count: jnp.sqrt(count.astype(float))], [5])
    assert joined(jnp.int32(3)) == 0
    assert joined(jnp.int32(9)) == 2
    with jax.debug_nans(True):
        joined(jnp.int32(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda s, steps: s.linear_schedule(0.5, 0.0, steps),
        lambda s, steps: s.polynomial_schedule(0.5, 0.0, 2, steps, 3),
        lambda s, steps: s.exponential_decay(0.5, steps, 0.9, end_value=0.1),
        lambda s, steps: s.exponential_decay(0.5, steps, 2.0, staircase=True, end_value=0.1),
        lambda s, steps: s.exponential_decay(0.5, 10, 0.0, end_value=0.7),
        lambda s, steps: s.warmup_exponential_decay_schedule(0.5, 0.5, 4, steps, 0.9),
    ],
)
def test_of_no_steps_a_schedule_is_constant_as_optax_documents(make):
    for steps in (0, -1, -(10**12), -0.5):
        for library in (schedules, optax.schedules):
            assert [float(make(library, steps)(count)) for count in (0, 1, 100)] == [0.5] * 3, (library, steps)


@pytest.mark.parametrize("steps", [10**10, 10**12, 1e300, math.inf])
def test_more_steps_than_a_counter_counts_are_not_refused(steps):
    for made, begin in [
        (schedules.linear_schedule(1.0, 0.0, steps), 1.0),
        (schedules.linear_schedule(1.0, 0.0, 10, steps), 1.0),
        (schedules.exponential_decay(1.0, steps, 0.5), 1.0),
        (schedules.exponential_decay(1.0, steps, 0.5, staircase=True), 1.0),
        (schedules.cosine_decay_schedule(1.0, steps), 1.0),
        (schedules.warmup_cosine_decay_schedule(0.0, 1.0, 10, steps), 0.0),
        (schedules.warmup_constant_schedule(1.0, 2.0, steps), 1.0),
        (schedules.piecewise_constant_schedule(1.0, {steps: 0.5}), 1.0),
        (schedules.piecewise_interpolate_schedule("linear", 1.0, {steps: 0.5}), 1.0),
        (schedules.join_schedules([schedules.constant_schedule(1.0), abs], [steps]), 1.0),
    ]:
        for run in (made, jax.jit(made)):
            np.testing.assert_allclose(run(0), begin)
            assert 0 <= run(LAST) <= 2


def test_a_schedule_of_ten_billion_steps_is_a_fraction_of_the_way_at_the_last_count():
    np.testing.assert_allclose(schedules.linear_schedule(1.0, 0.0, 10**10)(LAST), 1 - LAST / 10**10, rtol=1e-6)
    np.testing.assert_allclose(schedules.cosine_decay_schedule(1.0, 2 * LAST)(LAST), 0.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: s.linear_schedule(1.0, 0.0, 3, -1), "linear_schedule: transition_begin must be at least 0, got -1"),
        (lambda s: s.linear_schedule(1.0, 0.0, float("nan")), "linear_schedule: transition_steps .*, got nan"),
        (lambda s: s.polynomial_schedule(1.0, 0.0, -2, 5), "polynomial_schedule: power must be at least 0, got -2"),
        (lambda s: s.exponential_decay(1.0, 5, -0.5), "exponential_decay: decay_rate must be at least 0, got -0.5"),
        (lambda s: s.step_decay_schedule(1.0, 0, 0.5), "step_decay_schedule: transition_steps must be at least 1"),
        (lambda s: s.multi_step_decay_schedule(1.0, [3, -1]), "multi_step_decay_schedule: boundaries.* must be at least 0"),
        (lambda s: s.cosine_decay_schedule(1.0, 0), "cosine_decay_schedule: decay_steps must be at least 1, got 0"),
        (lambda s: s.cosine_decay_schedule(1.0, 5, 0.0, -1.0), "cosine_decay_schedule: exponent must be at least 0"),
        (lambda s: s.piecewise_constant_schedule(1.0, {3: -0.5}), "piecewise_constant_schedule: the scale at 3 must be at"),
        (lambda s: s.piecewise_constant_schedule(1.0, {-3: 0.5}), "piecewise_constant_schedule: a boundary must be at least"),
        (lambda s: s.piecewise_interpolate_schedule("cubic", 1.0), 'must be "linear" or "cosine", got'),
        (lambda s: s.piecewise_interpolate_schedule("linear", 1.0, {3: -0.5}), "the scale at 3 must be at least 0, got -0.5"),
        (lambda s: s.warmup_constant_schedule(0.0, 1.0, -2), "warmup_constant_schedule: warmup_steps must be at least 0"),
        (lambda s: s.warmup_cosine_decay_schedule(0.0, 1.0, 9, 9), r"must be above warmup_steps \(9\), got 9"),
        (lambda s: s.warmup_exponential_decay_schedule(0.0, 1.0, 9, 9, -1.0), "warmup_exponential_decay_schedule: decay_rate"),
        (lambda s: s.linear_onecycle_schedule(0, 1.0), "linear_onecycle_schedule: transition_steps must be at least 1"),
        (lambda s: s.linear_onecycle_schedule(9, 1.0, 0.9), r"pct_final must be at least pct_start \(0.9\), got 0.85"),
        (lambda s: s.cosine_onecycle_schedule(9, 1.0, 1.5), "cosine_onecycle_schedule: pct_start must be at least 0 and at"),
        (lambda s: s.cosine_onecycle_schedule(9, 1.0, div_factor=0), "cosine_onecycle_schedule: div_factor must be above 0"),
        (lambda s: s.sgdr_schedule([]), "sgdr_schedule needs at least one cycle"),
        (lambda s: s.join_schedules([], []), "0 schedules meet"),
        (lambda s: s.join_schedules([abs, abs], []), "2 schedules meet at 1 boundaries, got 0"),
        (lambda s: s.join_schedules([abs, abs, abs], [5, 3]), "the boundary after 5 must be at least 5, got 3"),
    ],
)
def test_bad_arguments_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make(schedules)


def test_joining_a_number_is_refused():
    with pytest.raises(TypeError, match=r"schedules\[1\] must be a function, got 0\.1; for a number write constant_schedule"):
        schedules.join_schedules([abs, 0.1], [3])  # pyright: ignore[reportArgumentType]


def test_a_scaled_schedule_is_in_proportion_to_another(x64):
    for schedule in (schedules.cosine_decay_schedule(0.3, 11), lambda count: 0.25, lambda count: jnp.float32(0.5) ** count):
        got = values(schedules.scaled_schedule(schedule, -0.1), range(15))
        np.testing.assert_allclose(got, -0.1 * values(schedule, range(15)), rtol=1e-14)


def test_a_schedule_may_be_scaled_by_many_factors():
    def second(factor):
        return schedules.scaled_schedule(schedules.linear_schedule(1.0, 0.0, 4), factor)(1)

    np.testing.assert_allclose(jax.vmap(second)(jnp.asarray([1.0, 2.0])), [0.75, 1.5])


def test_scaling_a_number_is_refused():
    with pytest.raises(TypeError, match=r"schedule must be a function, got 0\.1; for a number write constant_schedule"):
        schedules.scaled_schedule(0.1, 2.0)  # pyright: ignore[reportArgumentType]


def test_the_last_steps_of_a_power_cooldown_do_not_depend_on_the_length_of_the_training():
    short, long = schedules.power_cooldown_schedule(0.5, 0.01, 100), schedules.power_cooldown_schedule(0.5, 0.01, 1000)
    left = np.array([40, 3, 1, 0])
    expected = np.minimum(0.5, 0.01 * left**1.2)
    np.testing.assert_allclose(values(short, 100 - left), expected, rtol=1e-6)
    np.testing.assert_allclose(values(long, 1000 - left), expected, rtol=1e-6)
    assert long(0) == 0.5
    assert long(2000) == 0


@pytest.mark.parametrize(
    ("shape", "fall"),
    [("linear", lambda s: 1 - s), ("cosine", lambda s: (1 + np.cos(np.pi * s)) / 2), ("1-sqrt", lambda s: 1 - np.sqrt(s))],
    ids=["linear", "cosine", "1-sqrt"],
)
def test_a_constant_lies_between_warm_up_and_decay(shape, fall):
    schedule = schedules.warmup_stable_decay_schedule(0.0, 0.9, 4, 10, 6, 0.1, shape)
    steps = np.arange(25)
    falling = 0.1 + 0.8 * fall(np.clip((steps - 14) / 6, 0, 1))
    np.testing.assert_allclose(values(schedule, steps), np.where(steps < 4, 0.9 * steps / 4, falling), rtol=1e-6)
    assert schedule.end == 20


def test_half_of_the_half_life_is_reached_in_the_middle_of_the_warm_up():
    weight, decay = schedules.ademamix_weight_schedule(4.0, 10), schedules.ademamix_decay_schedule(0.9, 0.999, 10)
    half_life = np.log(0.5) / np.log([0.9, 0.999]) - 1
    np.testing.assert_allclose(values(decay, [4]), [0.5 ** (1 / (half_life.mean() + 1))], rtol=1e-6)
    np.testing.assert_allclose(values(weight, [0, 4, 9, 50]), [0.4, 2, 4, 4], rtol=1e-6)
    assert decay(9) == decay(50) == np.float32(0.999)


def test_a_corrected_decay_is_in_proportion_to_the_rate():
    rate = schedules.linear_schedule(0.02, 0.0, 10)
    np.testing.assert_allclose(values(schedules.corrected_weight_decay_schedule(0.1, rate, 0.02), [0, 5, 10]), [0.1, 0.05, 0.0])
