"""The present value of every hyperparameter can be read, and changed where the state holds it."""

# nnx and Optax have types of their own.
# pyright: reportArgumentType=false

import chex
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import gradtx
from gradtx import adjustable, hyperparams, set_hyperparams
from gradtx.interop import torch
from gradtx.interop.transformers import adafactor

PARAMS = {"w": jnp.ones((2, 2)), "b": jnp.ones(3)}
FALLING = gradtx.linear_schedule(1.0, 0.0, 10)
RISING = gradtx.linear_schedule(0.0, 0.5, 10)


def after(tx, steps, params=PARAMS):
    """The state of a transformation after some steps."""
    state = tx.init(params)
    for _ in range(steps):
        _, state = tx.update(params, state, params)
    return state


def everything(params):
    """Labels that give all parameters to one transformation."""
    return jax.tree.map(lambda p: "all", params)


COUNTED = {
    "adamw": (gradtx.adamw(FALLING, weight_decay=RISING), {"adamw.learning_rate": 0.7, "adamw.weight_decay": 0.15}),
    "decay behind a mask": (
        gradtx.add_decayed_weights(RISING, {"w": True, "b": False}),
        {"add_decayed_weights.weight_decay": 0.15},
    ),
    "scale_by_schedule": (gradtx.chain(gradtx.scale_by_schedule(FALLING)), {"scale_by_schedule.step_size_fn": 0.7}),
    "accumulated": (gradtx.MultiSteps(gradtx.sgd(FALLING), 2), {"sgd.learning_rate": 0.9}),
    "accumulated by schedule": (
        gradtx.MultiSteps(gradtx.sgd(0.1), lambda step: step + 1),
        {"MultiSteps.every_k_schedule": 3},
    ),
    "partitioned": (
        gradtx.partition({"all": gradtx.sgd(FALLING), "none": gradtx.sgd(RISING)}, everything),
        {"all.sgd.learning_rate": 0.7, "none.sgd.learning_rate": 0.15},
    ),
    "schedule-free": (
        gradtx.schedule_free(gradtx.sgd(0.1), FALLING),
        {"schedule_free.learning_rate": 0.7, "sgd.learning_rate": 0.1},
    ),
    "injected": (gradtx.inject_hyperparams(gradtx.sgd)(FALLING, momentum=0.5), {"sgd.learning_rate": 0.7, "sgd.momentum": 0.5}),
    "several numbers": (torch.adam(betas=(RISING, 0.99)), {"adam.betas[0]": 0.15, "adam.betas[1]": 0.99}),
    "averaged": (gradtx.averaged(gradtx.sgd(0.5), FALLING), {"averaged.rate": 0.7}),
    "ademamix": (gradtx.ademamix(0.1, alpha=RISING), {"ademamix.alpha": 0.15}),
    "twice": (
        gradtx.chain(gradtx.sgd(FALLING), gradtx.MultiSteps(gradtx.sgd(FALLING), 3)),
        {"sgd[0].learning_rate": 0.7, "sgd[1].learning_rate": 0.9},
    ),
    "adjustable": (
        adjustable(gradtx.adamw(FALLING), {"adamw.b1": RISING}),
        {"adamw.learning_rate": 0.7, "adamw.b1": 0.15, "adamw.b2": 0.999},
    ),
}


@pytest.mark.parametrize("case", COUNTED)
def test_schedules_are_evaluated_at_the_counts_of_the_state(case):
    tx, expected = COUNTED[case]
    found = hyperparams(tx, after(tx, 3))
    chex.assert_trees_all_close({path: jnp.asarray(found[path], float) for path in expected}, expected, atol=1e-6)


OF_EVERY_STEP = [case for case in COUNTED if "accumulated" not in case and case != "twice"]


@pytest.mark.parametrize("case", OF_EVERY_STEP)
def test_the_last_values_are_those_before_the_last_step(case):
    tx = COUNTED[case][0]
    states = [after(tx, steps) for steps in range(4)]
    for before, state in zip([states[0], *states[:-1]], states, strict=True):
        chex.assert_trees_all_close(hyperparams(tx, state, last=True), hyperparams(tx, before), rtol=1e-6)


def test_of_several_mini_batches_the_last_values_are_those_of_the_last_step():
    tx = COUNTED["accumulated"][0]
    found = [hyperparams(tx, after(tx, steps), last=True)["sgd.learning_rate"] for steps in range(6)]
    chex.assert_trees_all_close(jnp.stack(found), jnp.asarray([1.0, 1.0, 1.0, 1.0, 0.9, 0.9]))


def test_what_a_step_has_used_can_be_logged_after_it():
    tx = gradtx.adamw(FALLING)
    state, params = tx.init(PARAMS), PARAMS
    for step in range(3):
        _, state = tx.update(params, state, params)
        chex.assert_trees_all_close(hyperparams(tx, state, last=True)["adamw.learning_rate"], 1 - step / 10)


@pytest.mark.parametrize("warmup_init", [False, True])
def test_the_rate_that_adafactor_finds_by_itself_is_known(warmup_init):
    tx = gradtx.chain(gradtx.clip(1.0), adafactor(warmup_init=warmup_init))
    for t in (1, 4):
        expected = min(1e-6 * t if warmup_init else 1e-2, t**-0.5)
        chex.assert_trees_all_close(hyperparams(tx, after(tx, t - 1))["adafactor.lr"], expected, rtol=1e-6)
    given = adafactor(FALLING, relative_step=False, scale_parameter=False)
    chex.assert_trees_all_close(hyperparams(given, after(given, 3))["adafactor.lr"], 0.7, rtol=1e-6)
    held = adjustable(tx)
    assert "adafactor.lr" in hyperparams(held, after(held, 1))


def test_the_values_are_those_of_the_next_update():
    tx = gradtx.sgd(FALLING)
    state = after(tx, 4)
    updates, _ = tx.update(PARAMS, state, PARAMS)
    chex.assert_trees_all_close(updates["b"], -hyperparams(tx, state)["sgd.learning_rate"] * PARAMS["b"])


def test_a_number_is_returned_as_it_was_given():
    found = hyperparams(gradtx.adam(0.1), gradtx.adam(0.1).init(PARAMS))
    assert found == {"adam.learning_rate": 0.1, "adam.b1": 0.9, "adam.b2": 0.999, "adam.eps": 1e-8, "adam.eps_root": 0.0}


def test_a_traced_state_is_read():
    tx = gradtx.chain(gradtx.clip(1.0), gradtx.adamw(FALLING))
    found = jax.jit(lambda state: hyperparams(tx, state))(after(tx, 3))
    chex.assert_trees_all_close(found["adamw.learning_rate"], 0.7, atol=1e-6)


def test_states_of_many_runs_are_read_under_vmap():
    tx = gradtx.adamw(FALLING)
    states = jax.vmap(lambda scale: after(tx, 2, jax.tree.map(lambda p: scale * p, PARAMS)))(jnp.arange(1.0, 4.0))
    found = jax.vmap(lambda state: hyperparams(tx, state))(states)
    chex.assert_trees_all_close(found["adamw.learning_rate"], jnp.full(3, 0.8), atol=1e-6)


def test_the_state_in_an_optimizer_of_nnx_is_read_and_changed():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, adjustable(gradtx.adamw(FALLING)), wrt=nnx.Param)
    optimizer.opt_state = set_hyperparams(optimizer.tx, optimizer.opt_state, {"adamw.b1": 0.5})
    optimizer.update(model, nnx.grad(lambda model: jnp.sum(model(jnp.ones((1, 2)))))(model))
    found = hyperparams(optimizer.tx, optimizer.opt_state)
    chex.assert_trees_all_close((found["adamw.b1"], found["adamw.learning_rate"]), (0.5, 0.9), rtol=1e-6)


def test_the_state_of_another_optimizer_is_refused():
    tx = gradtx.partition({"all": gradtx.sgd(FALLING)}, everything)
    with pytest.raises(ValueError, match=r"hyperparams: the state is not that of partition\("):
        hyperparams(tx, gradtx.adam(0.1).init(PARAMS))


def test_a_schedule_without_a_count_is_an_error():
    @gradtx.factory
    def countless(learning_rate: gradtx.ScalarOrSchedule):
        return gradtx.stateless(lambda updates, params: updates)

    with pytest.raises(ValueError, match=r"no count in the state tells at which step countless evaluates linear_schedule"):
        hyperparams(countless(FALLING), gradtx.EmptyState())


# --- set_hyperparams --------------------------------------------------------------------------------------------------


def test_what_is_set_is_used_and_nothing_else_changes():
    tx = adjustable(gradtx.chain(gradtx.trace(0.9), gradtx.sgd(0.1)))
    state = after(tx, 2)
    changed = set_hyperparams(tx, state, {"sgd.learning_rate": 0.2})
    chex.assert_trees_all_equal(changed.inner_state, state.inner_state)
    slow, fast = tx.update(PARAMS, state, PARAMS)[0], tx.update(PARAMS, changed, PARAMS)[0]
    chex.assert_trees_all_close(fast, jax.tree.map(lambda u: 2 * u, slow), rtol=1e-6)


def test_a_part_may_be_adjustable():
    tx = gradtx.partition({"all": adjustable(gradtx.sgd(0.1)), "none": adjustable(gradtx.sgd(0.2))}, everything)
    state = set_hyperparams(tx, tx.init(PARAMS), {"all.sgd.learning_rate": 0.3, "none.sgd.learning_rate": 0.4})
    found = hyperparams(tx, state)
    chex.assert_trees_all_close(found, {"all.sgd.learning_rate": 0.3, "none.sgd.learning_rate": 0.4})


def test_of_two_equal_names_the_right_one_is_set():
    tx = gradtx.chain(adjustable(gradtx.sgd(0.1)), gradtx.clip(5.0), adjustable(gradtx.sgd(0.2)))
    found = hyperparams(tx, set_hyperparams(tx, tx.init(PARAMS), {"sgd[1].learning_rate": 0.4}))
    chex.assert_trees_all_close(found, {"sgd[0].learning_rate": 0.1, "clip.max_delta": 5.0, "sgd[1].learning_rate": 0.4})


def test_what_two_wrappers_keep_one_inside_of_the_other_is_set_at_once():
    tx = adjustable(gradtx.chain(gradtx.inject_hyperparams(gradtx.sgd)(0.1), gradtx.scale(2.0)))
    state = set_hyperparams(tx, tx.init(jnp.ones(2)), {"sgd.learning_rate": 0.5, "scale.step_size": 3.0})
    assert hyperparams(tx, state) == {"sgd.learning_rate": 0.5, "scale.step_size": 3.0}


def test_injected_hyperparameters_are_set_too():
    tx = gradtx.inject_hyperparams(gradtx.sgd)(FALLING, momentum=0.5)
    state = set_hyperparams(tx, tx.init(PARAMS), {"sgd.momentum": 0.8})
    chex.assert_trees_all_close(state.hyperparams["momentum"], jnp.asarray(0.8, jnp.float32))
    with pytest.raises(ValueError, match=r"sgd.learning_rate follows linear_schedule\(1.0, 0.0, 10\); del state"):
        set_hyperparams(tx, state, {"sgd.learning_rate": 0.8})


WRONG = {
    "a typo": ({"sgd.learning_rat": 1.0}, KeyError, r"no hyperparameter 'sgd.learning_rat'; did you mean 'sgd.learning_rate'"),
    "out of range": ({"sgd.momentum": 1.5}, ValueError, r"sgd: momentum must be at least -1 and at most 1, got 1.5"),
    "no number": ({"sgd.momentum": "high"}, TypeError, r"sgd: momentum must be a number or None|must be a number, got 'high'"),
    "several numbers": ({"sgd.momentum": jnp.ones(3)}, ValueError, r"sgd.momentum has the shape \(\), got one of shape \(3,\)"),
    "scheduled": ({"sgd.learning_rate": 0.1}, ValueError, r"sgd.learning_rate follows linear_schedule.*override=True"),
    "a whole number": ({"lookahead.sync_period": 3}, ValueError, r"lookahead.sync_period decides what is computed"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_set_is_refused_by_name(case):
    values, error, message = WRONG[case]
    tx = adjustable(gradtx.lookahead(gradtx.sgd(FALLING, momentum=0.5), 5, 0.5))
    with pytest.raises(error, match=message):
        set_hyperparams(tx, tx.init(PARAMS), values)


def test_what_is_compiled_in_is_refused_with_advice():
    tx = gradtx.chain(gradtx.clip(1.0), gradtx.adam(0.1))
    with pytest.raises(ValueError, match=r"adam.b1 is compiled into the update.*write adjustable\(adam\(...\)\)"):
        set_hyperparams(tx, tx.init(PARAMS), {"adam.b1": 0.5})
