"""`schedule.plot()` draws the value over the steps."""

import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
import zoo

import gradtx
from gradtx.interop import torch

matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


def drawn(schedule, *steps):
    """The steps and the values of the one line of a picture."""
    [line] = schedule.plot(*steps).lines
    return line.get_xdata(), line.get_ydata()


def test_the_value_is_drawn_at_every_step():
    schedule = gradtx.warmup_cosine_decay_schedule(0.0, 0.1, 10, 50)
    steps, values = drawn(schedule)
    np.testing.assert_array_equal(steps, np.arange(56))
    np.testing.assert_allclose(values, [float(schedule(step)) for step in range(56)], rtol=1e-6)


def test_a_long_run_has_as_many_points_as_a_picture_shows():
    steps, values = drawn(gradtx.cosine_decay_schedule(1.0, 10**6))
    assert len(steps) == 2001
    assert (steps[0], steps[-1]) == (0, 1_100_000)
    assert (values[0], values[-1]) == (1, 0)


# The step from which on each stays as it is; None where a picture needs `steps`.
ENDS = {
    "constant_schedule": None,
    "linear_schedule": 10,
    "polynomial_schedule": 10,
    "cosine_decay_schedule": 10,
    "exponential_decay": None,
    "piecewise_constant_schedule": 5,
    "step_decay_schedule": None,
    "multi_step_decay_schedule": 8,
    "piecewise_interpolate_schedule": 5,
    "join_schedules": None,  # a function of one's own is the last
    "linear_onecycle_schedule": 10,
    "cosine_onecycle_schedule": 10,
    "warmup_constant_schedule": 5,
    "warmup_cosine_decay_schedule": 10,
    "warmup_exponential_decay_schedule": None,
    "scaled_schedule": None,
    "sgdr_schedule": 5,
    "power_cooldown_schedule": 10,
    "ademamix_weight_schedule": 9,  # they count from 1
    "ademamix_decay_schedule": 9,
    "corrected_weight_decay_schedule": 10,
    "warmup_stable_decay_schedule": 10,
}


def test_every_schedule_is_tried_here():
    assert ENDS.keys() == zoo.SCHEDULES.keys()


@pytest.mark.parametrize("label", ENDS)
def test_a_schedule_is_drawn_until_it_stays_as_it_is_and_a_little_more(label):
    schedule, end = zoo.SCHEDULES[label](), ENDS[label]
    if end is None:
        with pytest.raises(ValueError, match=rf"^plot: {label}\(.* does not say how many steps to draw; give them, as in plot"):
            schedule.plot()
        assert drawn(schedule, 20)[0][-1] == 20
    else:
        assert drawn(schedule)[0][-1] == np.ceil(end + end / 10)
        later, before = schedule(jnp.arange(end, 3 * end)), schedule(end - 1)
        np.testing.assert_array_equal(later, later[0])
        assert before != later[0]


def test_compositions_end_where_their_last_member_does():
    rise, fall = gradtx.linear_schedule(0.0, 1.0, 10), gradtx.cosine_decay_schedule(1.0, 100)
    joined = gradtx.scaled_schedule(gradtx.join_schedules([rise, gradtx.constant_schedule(1.0), fall], [10, 50]), 0.5)
    steps, values = drawn(joined)
    assert steps[-1] == 165
    np.testing.assert_allclose([values[0], values[30], values[100], values[-1]], [0, 0.5, 0.25, 0], atol=1e-7)
    assert drawn(pickle.loads(pickle.dumps(joined)))[0][-1] == 165


def test_schedules_of_ones_own_and_those_of_torch_are_drawn():
    @gradtx.factory
    def halved(rate: float) -> gradtx.Schedule:
        return lambda count: rate / 2 if rate else zoo.halving(count)

    assert list(drawn(halved(0.1), 2)[1]) == [np.float32(0.05)] * 3
    assert list(drawn(gradtx.scaled_schedule(zoo.halving, 1.0), 1)[1]) == [np.float32(0.1), np.float32(0.05)]
    steps, values = drawn(torch.linear_lr(0.3, total_iters=10))
    assert len(steps) == 12
    np.testing.assert_allclose([values[0], values[-1]], [0.1, 0.3], rtol=1e-6)


def test_several_schedules_share_axes_and_get_a_legend():
    axes = gradtx.linear_schedule(1.0, 0.0, 10).plot()
    assert axes.get_legend() is None
    assert axes.get_title(loc="left") == "linear_schedule(1.0, 0.0, 10)"
    assert gradtx.cosine_decay_schedule(1.0, 10).plot(axes=axes) is axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["linear_schedule(1.0, 0.0, 10)", "cosine_decay_schedule(1.0, 10)"]
    assert axes.get_title(loc="left") == ""
    assert axes.get_xlabel() == "step"


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "10", 2**31])
def test_a_number_of_steps_that_means_nothing_is_refused(steps):
    with pytest.raises(ValueError, match=r"^plot: steps must be a whole number from 1 to 2147483647, got "):
        gradtx.constant_schedule(1.0).plot(steps)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_schedule_of_traced_steps_is_made_as_before():
    def last(steps):
        schedule = gradtx.multi_step_decay_schedule(1.0, [steps, 2 * steps], 0.5)
        return gradtx.join_schedules([schedule, gradtx.cosine_decay_schedule(1.0, steps)], [4 * steps])(3 * steps)

    assert jax.jit(last)(10) == 0.25


def test_without_matplotlib_the_error_says_what_to_install():
    program = """
import sys
sys.modules["matplotlib.pyplot"] = None
import gradtx
try:
    gradtx.linear_schedule(1.0, 0.0, 10).plot()
except ImportError as error:
    assert str(error) == "plot needs matplotlib: pip install matplotlib.", error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
