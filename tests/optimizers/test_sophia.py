"""Sophia: the objective it reads, what it prints, and that it compiles once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

PARAMS = {"w": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(0.5)}


def loss(batch, params):
    return jnp.sum(batch * params["w"] ** 2) + params["b"] ** 2


def of_ones(params):
    return loss(jnp.ones(2), params)


def test_without_an_objective_it_says_who_reads_it():
    tx = gradtx.sophia(0.1)
    with pytest.raises(TypeError, match="hutchinson_estimator_diag_hessian reads 'obj_fn'"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS)


def test_a_misspelled_objective_is_refused():
    tx = gradtx.sophia(0.1)
    with pytest.raises(TypeError, match="did you mean 'obj_fn'"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS, obj_fm=of_ones)


def test_the_hessian_of_a_sum_of_squares_is_estimated_without_error():
    tx = gradtx.hutchinson_estimator_diag_hessian(7)
    batch = jnp.asarray([1.0, 3.0])
    diagonal, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS, obj_fn=lambda params: loss(batch, params))
    np.testing.assert_allclose(diagonal["w"], 2 * batch)
    np.testing.assert_allclose(diagonal["b"], 2.0)


def test_outside_of_jit_a_function_with_its_batch_first_compiles_once():
    tx, traces = gradtx.sophia(0.1, update_interval=1), []

    def counted(batch, params):
        traces.append(batch.shape)
        return loss(batch, params)

    state = tx.init(PARAMS)
    for step in range(4):
        batch = jnp.full(2, step + 1.0)
        _, state = tx.update(PARAMS, state, PARAMS, obj_fn=jax.tree_util.Partial(counted, batch))
        expected = 2 * sum(0.99 ** (step - k) * 0.01 * (k + 1) for k in range(step + 1))
        np.testing.assert_allclose(state[0].nu["w"], expected, rtol=1e-5)
    assert len(traces) == 1


def test_in_jit_the_objective_may_close_over_the_batch():
    tx = gradtx.sophia(0.1, update_interval=1)

    @jax.jit
    def step(params, state, batch):
        def objective(params):
            return loss(batch, params)

        updates, state = tx.update(jax.grad(objective)(params), state, params, obj_fn=objective)
        return gradtx.apply_updates(params, updates), state

    _, state = step(PARAMS, tx.init(PARAMS), jnp.asarray([1.0, 3.0]))
    np.testing.assert_allclose(state[0].nu["w"], [0.02, 0.06], rtol=1e-5)


def test_it_prints_how_many_coordinates_are_not_clipped(capfd):
    tx = gradtx.sophia(0.1, gamma=1.0, b2=0.0, verbose=True, print_win_rate_every_n_steps=2)
    state = tx.init(PARAMS)
    gradients = {"w": jnp.asarray([1.0, 10.0]), "b": jnp.asarray(1.0)}
    for _ in range(3):
        _, state = tx.update(gradients, state, PARAMS, obj_fn=of_ones)
    jax.effects_barrier()
    printed = capfd.readouterr().out.split()
    assert printed[:-1] == ["Sophia", "optimizer", "win", "rate:"]
    np.testing.assert_allclose(float(printed[-1]), 2 / 3, rtol=1e-6)


def test_it_prints_nothing_unasked(capfd):
    tx = gradtx.sophia(0.1, print_win_rate_every_n_steps=1)
    tx.update(PARAMS, tx.init(PARAMS), PARAMS, obj_fn=of_ones)
    jax.effects_barrier()
    assert capfd.readouterr().out == ""


def test_a_key_given_stays_with_its_owner():
    key = jax.random.key(3)
    state = gradtx.hutchinson_estimator_diag_hessian(key).init(PARAMS)
    jax.jit(lambda state: state, donate_argnums=0)(state)
    assert not key.is_deleted()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gamma": 0.0}, "gamma must be above 0"),
        ({"clip_threshold": -1.0}, "clip_threshold must be above 0"),
        ({"update_interval": 0}, "update_interval must be at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        gradtx.sophia(0.1, **arguments)
