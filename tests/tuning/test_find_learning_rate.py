"""`find_learning_rate`: short runs, and the rate that is read from them."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.testing.events import LOWERED, compiler_events
from gradtx.tuning.find_learning_rate import find_learning_rate
from gradtx.tuning.rates_read import of_race

CURVATURES = jnp.asarray([1.0, 2.0])
PARAMS = {"w": jnp.asarray([1.0, -1.0])}
BATCHES = jnp.zeros((4, 2))


def bowl(params, batch):
    """A loss whose best constant rate of gradient descent is 2/3: it shrinks both errors by a third."""
    return jnp.sum(CURVATURES * (params["w"] - batch) ** 2) / 2


SGD = gradtx.sgd(0.1)


def find(tx: Any = SGD, loss: Any = bowl, params: Any = PARAMS, batches: Any = BATCHES, **options):
    return find_learning_rate(loss, params, tx, batches, **{"num_steps": 40, **options})


def test_a_race_finds_the_rates_of_a_bowl():
    found = find(low=0.01, high=10.0, num_rates=31)
    assert found.method == "race"
    assert found.curves is not None
    assert found.curves.shape == (31, 40)
    assert np.isnan(found.losses[-1])  # above 1, gradient descent explodes
    # After 40 steps of rates that fall from η the slower error is about exp(−20 η): at 0.1 a seventh, whose square is 1.8 %.
    assert 0.05 < found.flat[0] < 0.2
    best = found.rates[np.nanargmin(found.losses)]
    assert found.suggestion == pytest.approx(np.sqrt(found.flat[0] * best))
    assert found.flat[0] < found.suggestion < best < found.flat[1] < 3


def test_a_flat_is_where_lines_between_the_losses_cross_98_percent_of_the_way():
    rates, steps = np.asarray([0.01, 0.1, 1.0, 10.0]), 3
    starts = np.full((4, steps - 1), 10.0)
    found = of_race(rates, np.column_stack([starts, [3.2, 0.0, 0.1, np.nan]]))
    # Nearly as far is up to 0.2: a sixteenth of the way from 0 to 3.2, and no line leads to what has exploded.
    np.testing.assert_allclose(found.flat, [0.1 * 0.1 ** (1 / 16), 1.0])
    assert found.suggestion == pytest.approx(0.1 * 0.1 ** (1 / 32))
    everything = of_race(rates[:2], np.column_stack([starts[:2], [0.1, 0.0]]))
    np.testing.assert_allclose(everything.flat, [0.01, 0.1])
    assert "a smaller low" in everything.why


def test_a_range_test_suggests_a_rate_at_which_the_loss_falls():
    found = find(method="range", low=1e-4, high=10.0, num_steps=200)
    assert 0.02 < found.suggestion < 1
    assert found.losses.shape == (200,)
    assert np.isnan(found.losses[-1])
    assert "falls fastest" in found.why


def test_a_curve_is_that_of_a_run_whose_rate_falls_along_a_cosine():
    found = find(gradtx.adam(0.1), low=0.01, high=1.0, num_rates=3)
    params, tx, mean = PARAMS, gradtx.adam(gradtx.cosine_decay_schedule(0.1, 40)), 0.0
    state = tx.init(params)
    for step in range(40):
        loss, gradients = jax.value_and_grad(bowl)(params, BATCHES[step % 4])
        mean = 0.9 * mean + 0.1 * float(loss)
        assert found.curves is not None
        np.testing.assert_allclose(found.curves[1, step], mean / (1 - 0.9 ** (step + 1)), rtol=1e-4)
        updates, state = tx.update(gradients, state, params)
        params = gradtx.apply_updates(params, updates)


def test_nothing_that_was_given_changes_and_equal_calls_give_equal_results():
    before = jax.tree.map(jnp.copy, PARAMS)
    one, two = find(), find()
    chex.assert_trees_all_equal(PARAMS, before)
    np.testing.assert_array_equal(one.losses, two.losses)
    assert one.suggestion == two.suggestion


def test_a_race_is_one_program():
    loss = jax.jit(bowl)
    find(loss=loss)
    with compiler_events(LOWERED) as few:
        find(loss=loss, num_rates=5)
    with compiler_events(LOWERED) as many:
        find(loss=loss, num_rates=7)
    assert len(few) == len(many)


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.sgd(gradtx.cosine_decay_schedule(0.1, 100), momentum=0.9),
        gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3)),
        gradtx.lion(1e-3),
        gradtx.MultiSteps(gradtx.adam(1e-3), 2),
        gradtx.adjustable(gradtx.adam(1e-3)),
        gradtx.momo(0.1),
    ],
    ids=str,
)
def test_it_works_with_any_optimizer_that_has_a_rate(tx):
    found = find(tx, low=1e-3, high=1.0, num_rates=7)
    assert 1e-3 <= found.suggestion <= 1.0
    assert np.isfinite(found.losses).any()


def test_a_schedule_gives_way_to_the_rate():
    constant, falling = (find(gradtx.sgd(rate)) for rate in (0.5, gradtx.linear_schedule(0.1, 0.0, 3)))
    np.testing.assert_allclose(constant.losses, falling.losses, rtol=1e-6)


def test_several_rates_keep_their_proportion():
    groups: dict[Any, Any] = {"a": gradtx.sgd(0.1), "b": gradtx.sgd(0.05)}
    params = {"a": jnp.ones(()), "b": jnp.ones(())}
    tx = gradtx.partition(groups, {"a": "a", "b": "b"})

    def loss(params, batch):
        return params["a"] ** 2 / 2 + params["b"] ** 2  # twice as curved, at half the rate

    found = find(tx, loss, params, low=0.1, high=10.0, num_rates=21)
    alone = find(gradtx.sgd(0.1), lambda p, b: p["a"] ** 2 / 2 + p["b"] ** 2 / 2, params, low=0.1, high=10.0, num_rates=21)
    np.testing.assert_allclose(found.losses, 1.5 * alone.losses, rtol=1e-5)
    one = find(tx, loss, params, path="a.sgd.learning_rate", low=0.1, high=10.0, num_rates=21)
    assert one.losses[10] > 1.1 * found.losses[10]


def test_batches_may_be_drawn():
    def draw(key):
        return jax.random.normal(key, (2,))

    one, two, other = (find(batches=draw, key=key) for key in (None, jax.random.key(0), jax.random.key(1)))
    np.testing.assert_array_equal(one.losses, two.losses)
    assert not np.allclose(one.losses[0], other.losses[0])


def test_it_prints_and_draws_itself(tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    for found in (find(), find(method="range", low=1e-4, num_steps=100)):
        text = str(found)
        assert f"Take {found.suggestion:.2g}" in text
        assert "exploded" in text
        assert len(text.splitlines()) <= 24
        assert text.splitlines()[0].split() == ["rate", "loss"]
        assert found._repr_html_().startswith("<pre>")
        axes = found.plot()
        assert axes.get_xscale() == "log"
        assert found.plot(axes) is axes
        axes.figure.savefig(tmp_path / "rates.png")


def test_the_best_rate_at_an_end_says_where_to_search():
    assert "a larger high" in find(low=1e-4, high=1e-2).why
    assert "a smaller low" in find(low=0.9, high=0.99).why


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: find(loss=lambda p, b: jnp.log(-1.0) * p["w"][0]), ValueError, "the loss is nan from the start"),
        (lambda: find(loss=lambda p, b: p["w"]), ValueError, r"must return a number, got an array of shape \(2,\)"),
        (lambda: find(low=1.0, high=0.1), ValueError, "low must be below high"),
        (lambda: find(low=3.0, high=10.0), ValueError, "explodes at every rate"),
        (lambda: find(low=3.0, high=10.0, method="range"), ValueError, "explodes at every rate|does not fall"),
        (lambda: find(method="guess"), ValueError, "method must be"),
        (lambda: find(gradtx.scale(-0.1)), ValueError, "has no learning rate; pass its path, one of scale.step_size"),
        (lambda: find(path="sgd.rate"), KeyError, "did you mean 'sgd.learning_rate'"),
        (lambda: find(batches={"x": jnp.ones((2, 3)), "y": jnp.ones(3)}), ValueError, r"its sizes are \[2, 3\]"),
        (lambda: find(params={"w": jnp.ones(2, int)}), TypeError, "w"),
    ],
)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message) as raised:
        call()
    assert "find_learning_rate" in str(raised.value)
