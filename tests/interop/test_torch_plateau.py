"""torch's ReduceLROnPlateau: the same learning rates as torch."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from torch_plateau_cases import CASES, LR, label, series

import gradtx
from gradtx.interop import torch
from gradtx.testing import check_transformation, sample_params

GOLDEN = recorded.read("torch_plateau")
SERIES = series()
calls = pytest.mark.parametrize(("options", "name"), [(options, name) for options in CASES for name in SERIES])


def rates(values, dtype=jnp.float32, **options):
    """The learning rate of each step, as it is in an update of SGD."""
    tx = gradtx.chain(torch.sgd(LR), torch.reduce_lr_on_plateau(LR, **options))
    params = jnp.zeros((), dtype)

    def step(state, value):
        updates, state = tx.update(jnp.ones((), dtype), state, params, value=value)
        return state, -updates

    return jax.jit(lambda values: jax.lax.scan(step, tx.init(params), values)[1])(jnp.asarray(values, dtype))


def test_what_is_recorded_is_what_is_compared():
    assert GOLDEN.keys() == {label(options, name) for options in CASES for name in SERIES}


@pytest.mark.usefixtures("x64")
@calls
def test_every_step_has_the_learning_rate_of_torch_in_float64(options, name):
    np.testing.assert_allclose(rates(SERIES[name], jnp.float64, **options), GOLDEN[label(options, name)], rtol=1e-12)


@calls
def test_every_step_has_the_learning_rate_of_torch_in_float32(options, name):
    np.testing.assert_allclose(rates(SERIES[name], **options), GOLDEN[label(options, name)], rtol=1e-5)


def test_the_margin_of_a_negative_value_is_on_the_other_side_as_in_torch():
    falls = rates(np.full(30, -1.0), patience=0)
    assert jnp.all(falls == falls[0])
    state = (ours := gradtx.reduce_on_plateau(patience=1)).init(jnp.ones(()))
    for _ in range(2):
        _, state = ours.update(jnp.ones(()), state, value=-1.0)
    assert state.scale < 1


def test_the_value_at_the_end_of_each_epoch_is_read():
    values = SERIES["noisy"][:60]
    of_epochs = rates(values[4::5], patience=1)
    with_noise_between = np.where(np.arange(60) % 5 == 4, values, 1e3)
    chex.assert_trees_all_equal(rates(with_noise_between, patience=1, every=5), jnp.repeat(of_epochs, 5))


def test_the_learning_rate_can_be_read_and_written():
    tx = torch.reduce_lr_on_plateau(0.5, patience=0, factor=0.5)
    state = tx.init(jnp.ones(3))
    assert state.learning_rate == 0.5
    for rate in (0.5, 0.25, 0.125):
        updates, state = tx.update(jnp.ones(3), state, value=1.0)
        assert state.learning_rate == rate
    updates, _ = tx.update(jnp.ones(3), state._replace(learning_rate=jnp.asarray(0.05, jnp.float32)), value=1.0)
    chex.assert_trees_all_close(updates, jnp.full(3, 0.1), rtol=1e-6)


def test_the_learning_rate_may_be_traced():
    def after_two(lr):
        tx = torch.reduce_lr_on_plateau(lr, patience=0)
        state = tx.init(jnp.ones(()))
        for _ in range(2):
            _, state = tx.update(jnp.ones(()), state, value=1.0)
        return state.learning_rate

    chex.assert_trees_all_close(jax.vmap(after_two)(jnp.array([1.0, 0.1])), jnp.array([0.1, 0.01]), rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"patience": 0, "mode": "max", "threshold_mode": "abs"}, {"every": 2}])
def test_keeps_the_laws(options):
    check_transformation(torch.reduce_lr_on_plateau(0.1, **options), sample_params(), extra_args={"value": 1.0})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1.0}, "factor must be at least 0 and below 1, got 1.0"),
        ({"mode": "least"}, 'mode must be "min" or "max", got \'least\''),
        ({"threshold_mode": "relative"}, 'threshold_mode must be "rel" or "abs", got \'relative\''),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"every": 0}, "every must be at least 1"),
    ],
)
def test_refuses_what_has_no_meaning(arguments, message):
    with pytest.raises(ValueError, match=f"reduce_lr_on_plateau: {message}"):
        torch.reduce_lr_on_plateau(**{"lr": 0.1, **arguments})


def test_refuses_a_schedule():
    with pytest.raises(TypeError, match="reduce_lr_on_plateau: lr must be a number, got a function"):
        torch.reduce_lr_on_plateau(torch.step_lr(0.1, 5))  # pyright: ignore[reportArgumentType]


def test_the_value_must_be_given_and_be_one_number():
    tx = torch.reduce_lr_on_plateau(0.1)
    state = tx.init(jnp.ones(3))
    with pytest.raises(TypeError, match="reduce_lr_on_plateau reads 'value'"):
        tx.update(jnp.ones(3), state)
    with pytest.raises(ValueError, match="reduce_lr_on_plateau: value must be a scalar"):
        tx.update(jnp.ones(3), state, value=jnp.ones(2))
