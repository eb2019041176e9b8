"""`adjustable`: hyperparameters in the state, to be changed and scheduled in a run."""

# Some arguments are of a type that is refused.
# pyright: reportArgumentType=false

import functools

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
import zoo

import gradtx
from gradtx import adjustable, hyperparams, set_hyperparams
from gradtx.core.hyperparameters import hyperparameters as known_hyperparameters
from gradtx.testing import float32_computes_as_float64_does
from gradtx.testing.samples import gradients_like, sample_params

PARAMS = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.ones(3)}
FALLING = gradtx.linear_schedule(1.0, 0.0, 10)


def two_steps(tx, params, extra_args):
    """Two updates and the last state."""
    state = tx.init(params)
    first, state = tx.update(gradients_like(params), state, params, **extra_args)
    second, state = tx.update(gradients_like(params, 1), state, params, **extra_args)
    return first, second, state


def test_it_moves_as_what_it_wraps():
    with jax.enable_x64(True):
        params = jax.tree.map(lambda p: jnp.asarray(p, float), PARAMS)
        for tx in (gradtx.adamw(FALLING, weight_decay=0.1), gradtx.chain(gradtx.clip(0.5), gradtx.sgd(0.1, momentum=0.9))):
            chex.assert_trees_all_close(two_steps(tx, params, {})[:2], two_steps(adjustable(tx), params, {})[:2], rtol=1e-12)


@pytest.mark.parametrize("label", zoo.existing(zoo.TRANSFORMATIONS))
def test_every_sample_can_be_traced_with_its_hyperparameters(label):
    tx, params = zoo.transformation(label), sample_params()
    if not known_hyperparameters(tx):
        with pytest.raises(ValueError, match="nothing is known of the hyperparameters"):
            adjustable(tx)
        return
    run = functools.partial(two_steps, extra_args=zoo.extra_args(label, params))
    adjusted = jax.eval_shape(functools.partial(run, adjustable(tx)), params)
    chex.assert_trees_all_equal_shapes_and_dtypes(adjusted[:2], jax.eval_shape(functools.partial(run, tx), params)[:2])


def test_a_sweep_of_a_hundred_learning_rates_compiles_once():
    tx = adjustable(gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3)))
    state = tx.init(PARAMS)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(state):
        return tx.update(PARAMS, state, PARAMS)

    updates, state = step(state)
    for rate in range(100):
        updates, state = step(set_hyperparams(tx, state, {"adamw.learning_rate": 1e-3 * rate, "adamw.b1": rate / 200}))
    assert int(state.count) == 101
    chex.assert_tree_all_finite(updates)


def test_any_hyperparameter_follows_a_schedule():
    schedule = gradtx.linear_schedule(0.5, 0.9, 4)
    tx = adjustable(gradtx.adam(0.1), {"adam.b1": schedule})
    oracle = optax.inject_hyperparams(optax.adam)(0.1, b1=schedule)
    state, oracle_state = tx.init(PARAMS), oracle.init(PARAMS)
    for step in range(5):
        gradients = gradients_like(PARAMS, step)
        updates, state = tx.update(gradients, state, PARAMS)
        with jax.numpy_dtype_promotion("standard"):
            expected, oracle_state = oracle.update(gradients, oracle_state, PARAMS)
        chex.assert_trees_all_close(updates, expected, rtol=2e-5)


def test_a_schedule_may_take_the_place_of_another():
    rising = gradtx.linear_schedule(0.0, 0.4, 4)
    tx = adjustable(gradtx.sgd(FALLING), {"sgd.learning_rate": rising})
    _, state = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    chex.assert_trees_all_close(hyperparams(tx, state), {"sgd.learning_rate": 0.1})
    chex.assert_trees_all_close(tx.update(PARAMS, state, PARAMS)[0]["b"], -0.1 * PARAMS["b"], rtol=1e-6)


@pytest.mark.parametrize("make", [gradtx.adamw, gradtx.ademamix, gradtx.radam, gradtx.rmsprop, gradtx.yogi])
def test_the_complement_of_a_decay_that_is_held_is_exact(make):
    # 1 − 0.9999 is 1.7e-4 off in float32.
    for tx in (adjustable(make(0.01)), gradtx.inject_hyperparams(make)(0.01)):
        float32_computes_as_float64_does(tx, sample_params())


def test_a_decay_that_is_set_is_the_float32_that_it_became():
    tx = adjustable(gradtx.ema(0.9999, debias=False))
    for decay, rest in ((0.9999, 1e-4), (0.999, float(1 - jnp.float32(0.999)))):
        state = set_hyperparams(tx, tx.init(PARAMS), {"ema.decay": decay})
        chex.assert_trees_all_close(tx.update(PARAMS, state)[0]["b"], rest * PARAMS["b"], rtol=1e-7)


def test_a_factory_of_the_user_gets_arrays():
    @gradtx.factory
    def strict(b1: float):
        return gradtx.stateless(lambda updates, params: jax.tree.map(lambda g: g * jax.lax.sqrt(b1), updates))

    for tx in (adjustable(strict(0.81)), gradtx.inject_hyperparams(lambda b1: strict(b1))(b1=0.81)):
        chex.assert_trees_all_close(tx.update(PARAMS, tx.init(PARAMS))[0]["b"], 0.9 * PARAMS["b"], rtol=1e-6)


@pytest.mark.parametrize("tx", [adjustable(gradtx.sgd(FALLING)), adjustable(gradtx.sgd(0.5), {"sgd.learning_rate": FALLING})])
def test_a_schedule_is_overridden_until_it_is_let_go_on(tx):
    state = set_hyperparams(tx, tx.init(PARAMS), {"sgd.learning_rate": 0.3}, override=True)
    for _ in range(3):
        updates, state = tx.update(PARAMS, state, PARAMS)
        chex.assert_trees_all_close(updates["b"], -0.3 * PARAMS["b"], rtol=1e-6)
    chex.assert_trees_all_close(hyperparams(tx, state)["sgd.learning_rate"], 0.3)
    state = set_hyperparams(tx, state, {"sgd.learning_rate": None})
    chex.assert_trees_all_close(hyperparams(tx, state)["sgd.learning_rate"], 0.7)
    chex.assert_trees_all_close(tx.update(PARAMS, state, PARAMS)[0]["b"], -0.7 * PARAMS["b"], rtol=1e-6)


def test_a_population_of_settings_is_one_vmap():
    tx = adjustable(gradtx.adam(0.1))
    rates = jnp.asarray([0.1, 0.2, 0.4])
    states = jax.vmap(lambda rate: set_hyperparams(tx, tx.init(PARAMS), {"adam.learning_rate": rate}))(rates)
    updates, states = jax.vmap(lambda state: tx.update(PARAMS, state, PARAMS))(states)
    for k, rate in enumerate(rates):
        alone, _ = gradtx.adam(rate).update(PARAMS, gradtx.adam(rate).init(PARAMS), PARAMS)
        chex.assert_trees_all_close(jax.tree.map(lambda u, k=k: u[k], updates), alone, rtol=1e-6)
    assert jax.tree.leaves(states)[0].shape == (3,)


def test_a_gradient_flows_to_a_hyperparameter():
    tx = adjustable(gradtx.sgd(0.1))

    def moved(rate):
        state = set_hyperparams(tx, tx.init(PARAMS), {"sgd.learning_rate": rate})
        return gradtx.tree.sum(tx.update(PARAMS, state, PARAMS)[0])

    chex.assert_trees_all_close(jax.grad(moved)(0.1), -gradtx.tree.sum(PARAMS), rtol=1e-6)


def test_a_momentum_of_0_can_be_raised():
    tx = adjustable(gradtx.chain(gradtx.trace(0.0), gradtx.scale(-1.0)))
    state = tx.init(PARAMS)
    _, state = tx.update(PARAMS, state, PARAMS)
    updates, _ = tx.update(PARAMS, set_hyperparams(tx, state, {"trace.decay": 0.5}), PARAMS)
    chex.assert_trees_all_close(updates["b"], -1.5 * PARAMS["b"])


def test_whole_numbers_in_the_place_of_floats_are_held():
    tx = adjustable(gradtx.sgd(1))
    updates, _ = tx.update(PARAMS, set_hyperparams(tx, tx.init(PARAMS), {"sgd.learning_rate": 0.5}), PARAMS)
    chex.assert_trees_all_close(updates["b"], -0.5 * PARAMS["b"])


def test_the_state_may_be_written_by_hand():
    tx = adjustable(gradtx.sgd(0.1))
    state = tx.init(PARAMS)
    state.hyperparams["sgd.learning_rate"] = 0.5
    chex.assert_trees_all_close(tx.update(PARAMS, state, PARAMS)[0]["b"], -0.5 * PARAMS["b"])
    state.hyperparams["sgd.rate"] = 0.5
    with pytest.raises(ValueError, match=r"'sgd.rate' is none of those in state.hyperparams; .* are sgd.learning_rate"):
        tx.update(PARAMS, state, PARAMS)


def test_hyperparameters_of_bfloat16_parameters_are_float32():
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    tx = adjustable(gradtx.adam(0.1))
    updates, state = tx.update(params, tx.init(params), params)
    chex.assert_trees_all_equal_dtypes(updates, params)
    assert all(value.dtype == jnp.float32 for value in state.hyperparams.values())


def test_wrong_schedules_are_refused():
    with pytest.raises(KeyError, match=r"adjustable: there is no hyperparameter 'sgd.lr'; there are|did you mean"):
        adjustable(gradtx.sgd(0.1), {"sgd.lr": FALLING})
    with pytest.raises(TypeError, match=r"schedules\['sgd.learning_rate'\] must be a function, got 0.5; for a number"):
        adjustable(gradtx.sgd(0.1), {"sgd.learning_rate": 0.5})
    with pytest.raises(TypeError, match=r"lookahead.sync_period decides what is computed, so it cannot be a schedule"):
        adjustable(gradtx.lookahead(gradtx.sgd(0.1), 5, 0.5), {"lookahead.sync_period": FALLING})


def test_what_nothing_is_known_of_is_refused():
    with pytest.raises(ValueError, match=r"adjustable: nothing is known of the hyperparameters of GradientTransformation"):
        adjustable(optax.adam(0.1))


def test_what_is_set_can_be_donated_and_stays_with_the_caller():
    tx, rate = adjustable(gradtx.adam(0.1)), jnp.asarray(0.5)
    state = set_hyperparams(tx, tx.init(PARAMS), {"adam.learning_rate": rate, "adam.b1": rate})
    jax.jit(lambda state: tx.update(PARAMS, state, PARAMS), donate_argnums=0)(state)
    assert float(rate) == 0.5
