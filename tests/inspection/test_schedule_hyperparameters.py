"""The numbers inside of a schedule have paths, and can be set in a run without compiling again."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

import gradtx
from gradtx import adjustable, hyperparams, set_hyperparams
from gradtx.core.hyperparameters import rebuilt
from gradtx.testing.samples import gradients_like

PARAMS = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.ones(3)}


def warmed_up(peak: float = 1e-3, init: float = 0):
    return gradtx.warmup_cosine_decay_schedule(init, peak, 10, 100)


def joined(top=1.0, factor=0.5):
    members = [gradtx.linear_schedule(0.0, top, 4), gradtx.scaled_schedule(gradtx.cosine_decay_schedule(1.0, 20), factor)]
    return gradtx.join_schedules(members, [4])


def run(tx, steps, state=None, params=PARAMS):
    """The last updates and the last state after some steps along gradients that differ."""
    state, updates = tx.init(params) if state is None else state, None
    for step in range(steps):
        updates, state = tx.update(gradients_like(params, step), state, params)
    return updates, state


def inside(tx, state=None):
    """The numbers in schedules, by path."""
    found = hyperparams(tx, tx.init(PARAMS) if state is None else state)
    return {path: value for path, value in found.items() if path.count(".") > 1}


def test_every_number_in_a_schedule_has_a_path():
    tx = gradtx.chain(gradtx.clip(1.0), gradtx.adamw(warmed_up(), weight_decay=gradtx.exponential_decay(0.1, 10, 0.9)))
    expected = {
        "adamw.learning_rate.init_value": 0,
        "adamw.learning_rate.peak_value": 1e-3,
        "adamw.learning_rate.warmup_steps": 10,
        "adamw.learning_rate.decay_steps": 100,
        "adamw.learning_rate.end_value": 0.0,
        "adamw.learning_rate.exponent": 1.0,
        "adamw.weight_decay.init_value": 0.1,
        "adamw.weight_decay.transition_steps": 10,
        "adamw.weight_decay.decay_rate": 0.9,
        "adamw.weight_decay.transition_begin": 0,
    }
    assert inside(tx) == expected
    chex.assert_trees_all_close(inside(adjustable(tx)), jax.tree.map(jnp.asarray, expected))
    assert inside(adjustable(tx))["adamw.learning_rate.decay_steps"].dtype == jnp.int32
    assert inside(adjustable(tx))["adamw.learning_rate.init_value"].dtype == jnp.float32
    for each in (tx, adjustable(tx)):  # the schedules themselves are where they were
        assert float(hyperparams(each, run(each, 5)[1])["adamw.learning_rate"]) == pytest.approx(5e-4)


def test_a_peak_that_is_set_takes_effect_and_nothing_compiles_again():
    tx = adjustable(gradtx.adamw(warmed_up()))
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(gradients, state):
        return tx.update(gradients, state, PARAMS)

    updates, state = None, tx.init(PARAMS)
    for k in range(20):
        peak = 1e-3 if k < 10 else 5e-4
        state = set_hyperparams(tx, state, {"adamw.learning_rate.peak_value": peak})
        assert float(hyperparams(tx, state)["adamw.learning_rate"]) == pytest.approx(float(warmed_up(peak)(k)), rel=1e-6)
        updates, state = step(gradients_like(PARAMS, k), state)
    assert float(hyperparams(tx, state, last=True)["adamw.learning_rate"]) == pytest.approx(
        float(warmed_up(5e-4)(19)), rel=1e-6
    )
    before, _ = run(gradtx.scale_by_adam(), 20)
    rate = warmed_up(5e-4)(19)
    chex.assert_trees_all_close(updates, jax.tree.map(lambda u, p: -rate * (u + 1e-4 * p), before, PARAMS), rtol=1e-5)


@pytest.mark.parametrize("schedule", [warmed_up(0.3), joined(), *(make() for make in zoo.SCHEDULES.values())], ids=repr)
def test_stored_numbers_of_a_schedule_change_nothing(schedule):
    with jax.enable_x64(True):
        params = jax.tree.map(lambda p: jnp.asarray(p, float), PARAMS)
        plain, stored = gradtx.sgd(schedule), adjustable(gradtx.sgd(schedule))
        rtol = 1e-6 if "halving" in repr(schedule) else 1e-12  # halving computes in float32
        for steps in (1, 6, 12):
            chex.assert_trees_all_close(run(stored, steps, None, params)[0], run(plain, steps, None, params)[0], rtol=rtol)


def test_schedules_in_schedules_have_indices():
    tx = adjustable(gradtx.sgd(joined()))
    assert inside(tx).keys() == {
        "sgd.learning_rate.schedules[0].init_value",
        "sgd.learning_rate.schedules[0].end_value",
        "sgd.learning_rate.schedules[0].transition_steps",
        "sgd.learning_rate.schedules[0].transition_begin",
        "sgd.learning_rate.schedules[1].schedule.init_value",
        "sgd.learning_rate.schedules[1].schedule.decay_steps",
        "sgd.learning_rate.schedules[1].schedule.alpha",
        "sgd.learning_rate.schedules[1].schedule.exponent",
        "sgd.learning_rate.schedules[1].factor",
    }
    new = {"sgd.learning_rate.schedules[0].end_value": 3.0, "sgd.learning_rate.schedules[1].factor": 0.25}
    state = set_hyperparams(tx, tx.init(PARAMS), new)
    for step in range(8):
        assert float(hyperparams(tx, state)["sgd.learning_rate"]) == pytest.approx(float(joined(3.0, 0.25)(step)), rel=1e-6)
        _, state = tx.update(PARAMS, state, PARAMS)


def test_the_schedules_of_groups_are_set():
    def made(rate, decay):
        decaying = gradtx.Group("w", weight_decay=gradtx.linear_schedule(decay, 0.0, 10))
        return gradtx.grouped(gradtx.adamw(warmed_up(rate, 0.1)), [decaying, gradtx.Group("b", learning_rate_factor=0.1)])

    tx = adjustable(made(0.2, 0.1))
    new = {"adamw.learning_rate.peak_value": 0.7, "w.weight_decay.init_value": 0.5}
    assert new.keys() <= inside(tx).keys()
    state = set_hyperparams(tx, tx.init(PARAMS), new)
    chex.assert_trees_all_close(run(tx, 4, state)[0], run(made(0.7, 0.5), 4)[0], rtol=1e-5)


def test_a_run_is_made_longer():
    sgd = gradtx.sgd(warmed_up(1.0))
    tx = adjustable(sgd)
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(state):
        return tx.update(PARAMS, state)

    state = tx.init(PARAMS)
    for values in ({}, {"decay_steps": 500}, {"warmup_steps": 200.0}, {"warmup_steps": jnp.asarray(300), "decay_steps": 400}):
        state = set_hyperparams(tx, state, {f"sgd.learning_rate.{name}": value for name, value in values.items()})
        longer = rebuilt(sgd, {p: int(v) for p, v in inside(tx, state).items() if p.endswith("steps")})
        updates, next_state = step(state._replace(count=jnp.asarray(90, jnp.int32), inner_state=run(longer, 90)[1]))
        expected, _ = longer.update(PARAMS, run(longer, 90)[1])
        chex.assert_trees_all_close(updates, expected, rtol=1e-5)
        chex.assert_trees_all_equal_shapes_and_dtypes(next_state, state)


def test_a_warm_up_of_more_steps_than_a_float32_counts_is_exact():
    first = 2**24 + 1
    tx = adjustable(gradtx.sgd(gradtx.join_schedules([gradtx.constant_schedule(0.5), gradtx.constant_schedule(1.0)], [first])))
    later = adjustable(gradtx.sgd(gradtx.linear_schedule(0.5, 1.0, 1, transition_begin=first)))
    for each, count, rate in ((tx, first - 1, 0.5), (tx, first, 1.0), (later, first, 0.5), (later, first + 1, 1.0)):
        state = each.init(PARAMS)
        inner = jax.tree.map(lambda leaf, count=count: jnp.asarray(count, leaf.dtype), state.inner_state)
        updates, _ = each.update(PARAMS, state._replace(inner_state=inner))
        chex.assert_trees_all_close(updates["b"], -rate * PARAMS["b"])


def test_many_peaks_are_one_vmap():
    tx = adjustable(gradtx.sgd(warmed_up(init=0.5)))

    def second_update(peak):
        state = set_hyperparams(tx, tx.init(PARAMS), {"sgd.learning_rate.peak_value": peak})
        return run(tx, 2, state)[0]

    peaks = jnp.asarray([0.1, 0.7])
    each = [run(gradtx.sgd(warmed_up(float(peak), 0.5)), 2)[0] for peak in peaks]
    chex.assert_trees_all_close(
        jax.vmap(second_update)(peaks), jax.tree.map(lambda *leaves: jnp.stack(leaves), *each), rtol=1e-5
    )


def test_a_schedule_that_is_overridden_goes_on_with_the_numbers_that_were_set_meanwhile():
    tx = adjustable(gradtx.sgd(warmed_up(init=0.5)))
    state = set_hyperparams(tx, tx.init(PARAMS), {"sgd.learning_rate": 0.3}, override=True)
    state = set_hyperparams(tx, state, {"sgd.learning_rate.init_value": 0.8})
    assert float(hyperparams(tx, state)["sgd.learning_rate"]) == pytest.approx(0.3)
    assert float(hyperparams(tx, state)["sgd.learning_rate.init_value"]) == pytest.approx(0.8)
    state = set_hyperparams(tx, state, {"sgd.learning_rate": None})
    assert float(hyperparams(tx, state)["sgd.learning_rate"]) == pytest.approx(0.8)


def test_a_number_in_a_schedule_follows_another_schedule():
    falling = gradtx.linear_schedule(1.0, 0.0, 10)
    tx = adjustable(gradtx.sgd(gradtx.scaled_schedule(warmed_up(1.0, 1.0), 2.0)), {"sgd.learning_rate.factor": falling})
    updates, state = run(tx, 4)
    gradients = gradients_like(PARAMS, 3)
    chex.assert_trees_all_close(updates, jax.tree.map(lambda g: -0.7 * g, gradients), rtol=1e-5)
    assert float(hyperparams(tx, state)["sgd.learning_rate"]) == pytest.approx(0.6)


def test_a_schedule_that_is_replaced_has_no_numbers_any_more():
    tx = adjustable(gradtx.sgd(warmed_up()), {"sgd.learning_rate": gradtx.constant_schedule(0.1)})
    assert inside(tx) == {}
    assert tx.init(PARAMS).hyperparams == {}


def test_a_schedule_of_ones_own_that_asks_for_its_number_keeps_it():
    @gradtx.factory
    def halved_above(limit: float, rate: float) -> gradtx.Schedule:
        def schedule(count):
            return rate / 2 if limit > 0.5 else jnp.asarray(rate)

        return schedule

    tx = adjustable(gradtx.sgd(halved_above(1.0, 0.4)))
    assert tx.init(PARAMS).hyperparams.keys() == {"sgd.learning_rate.rate"}
    state = set_hyperparams(tx, tx.init(PARAMS), {"sgd.learning_rate.rate": 0.8})
    updates, _ = tx.update(PARAMS, state)
    np.testing.assert_allclose(updates["b"], -0.4 * PARAMS["b"], rtol=1e-6)
    with pytest.raises(ValueError, match="limit decides what is computed"):
        set_hyperparams(tx, state, {"sgd.learning_rate.limit": 0.1})


def test_functions_that_no_factory_has_made_have_no_numbers():
    assert inside(adjustable(gradtx.sgd(zoo.halving))) == {}
    assert inside(gradtx.sgd(zoo.halving)) == {}


def test_a_transformation_is_made_again_with_other_numbers_in_its_schedules():
    tx = gradtx.chain(gradtx.clip(1.0), gradtx.sgd(joined()))
    again = rebuilt(tx, {"sgd.learning_rate.schedules[0].end_value": 3.0, "sgd.learning_rate.schedules[1].factor": 0.25})
    assert again == gradtx.chain(gradtx.clip(1.0), gradtx.sgd(joined(3.0, 0.25)))
    assert rebuilt(tx, {}) is tx


@pytest.mark.parametrize(
    ("tx", "path", "value", "error", "message"),
    [
        (adjustable(gradtx.sgd(warmed_up())), "decay_steps", 50.5, TypeError, r"decay_steps must be a whole number, got 50.5"),
        (adjustable(gradtx.sgd(warmed_up())), "decay_steps", jnp.ones(()), TypeError, r"decay_steps must be a whole number"),
        (adjustable(gradtx.sgd(warmed_up())), "decay_steps", 0, ValueError, r"decay_steps must be at least 1, got 0"),
        (
            adjustable(gradtx.sgd(gradtx.cosine_onecycle_schedule(10, 0.1))),
            "transition_steps",
            50,
            ValueError,
            r"transition_steps decides what is computed, so it is",
        ),
        (adjustable(gradtx.sgd(warmed_up())), "peek_value", 1.0, KeyError, r"did you mean 'sgd.learning_rate.peak_value'\?"),
        (adjustable(gradtx.sgd(warmed_up())), "exponent", -1.0, ValueError, r"exponent must be at least 0, got -1.0"),
        (adjustable(gradtx.sgd(warmed_up())), "peak_value", "high", TypeError, r"peak_value must be a number"),
        (gradtx.sgd(warmed_up()), "peak_value", 1.0, ValueError, r"compiled into the update, as the optimizer is not adj"),
    ],
)
def test_what_cannot_be_set_is_refused_by_name(tx, path, value, error, message):
    with pytest.raises(error, match=message):
        set_hyperparams(tx, tx.init(PARAMS), {f"sgd.learning_rate.{path}": value})
