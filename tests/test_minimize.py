"""`minimize` finds the minima that SciPy's L-BFGS-B finds, at its price, and says how it ended."""

import typing

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from sklearn.datasets import load_digits

import gradtx
from gradtx import MinimizeStatus


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def beale(p):
    x, y = p
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def booth(p):
    x, y = p
    return (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2


def logistic_regression(w):
    images, labels = load_digits(return_X_y=True)
    logits = jnp.asarray(images / 16) @ w[:640].reshape(64, 10) + w[None, 640:]
    likelihoods = jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.asarray(labels)[:, None], axis=1)
    return 1e-3 * jnp.sum(w**2) - jnp.mean(likelihoods)


def valley(size):
    return np.tile([-1.2, 1.0], size // 2)


PROBLEMS = {
    "Rosenbrock, 2": (rosenbrock, valley(2)),
    "Rosenbrock, 10": (rosenbrock, valley(10)),
    "Rosenbrock, 100": (rosenbrock, valley(100)),
    "Beale": (beale, np.ones(2)),
    "Booth": (booth, np.zeros(2)),
    "logistic regression of digits": (logistic_regression, np.zeros(650)),
}


def by_scipy(fun, x0, tol):
    value_and_grad = jax.jit(jax.value_and_grad(fun))

    def as_numpy(x):
        value, grad = value_and_grad(jnp.asarray(x))
        return float(value), np.asarray(grad, float)

    options = {"gtol": tol, "ftol": 0, "maxfun": 10_000}
    return scipy.optimize.minimize(as_numpy, x0, jac=True, method="L-BFGS-B", options=options)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_minimum_is_that_of_scipy_at_its_price(problem):
    fun, x0 = PROBLEMS[problem]
    expected = by_scipy(fun, x0, 1e-9)
    result = gradtx.minimize(fun, jnp.asarray(x0), tol=1e-9)
    assert MinimizeStatus(int(result.status)) is MinimizeStatus.CONVERGED
    chex.assert_trees_all_close(result.params, expected.x, atol=1e-6)
    chex.assert_trees_all_close(result.value, expected.fun, atol=1e-12)
    assert result.grad_norm <= 1e-9
    assert int(result.num_evaluations) <= 1.5 * expected.nfev


def test_the_evaluations_are_counted_as_they_are_made():
    made = []

    def counted(x):
        jax.debug.callback(lambda: made.append(1))
        return rosenbrock(x)

    for tx in (
        gradtx.lbfgs(),
        gradtx.chain(gradtx.sgd(1e-3), gradtx.scale_by_backtracking_linesearch(20, store_grad=True)),
        gradtx.adam(0.1),
    ):
        made.clear()
        result = gradtx.minimize(counted, jnp.asarray(valley(4)), tx=tx, max_steps=15)
        jax.block_until_ready(result)
        jax.effects_barrier()
        assert len(made) == result.num_evaluations


def test_the_history_is_padded():
    result = gradtx.minimize(booth, jnp.zeros(2), max_steps=20)
    steps = int(result.num_steps)
    assert result.values.shape == (20,)
    assert result.values[steps - 1] == result.value
    assert np.isnan(result.values[steps:]).all()
    assert np.isfinite(result.values[:steps]).all()


def test_any_transformation_minimizes():
    for tx in (gradtx.adam(0.1), gradtx.polyak_sgd(), gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.sgd(0.05))):
        result = gradtx.minimize(booth, jnp.zeros(2), tx=tx, tol=1e-4)
        assert MinimizeStatus(int(result.status)) is MinimizeStatus.CONVERGED
        chex.assert_trees_all_close(result.params, jnp.asarray([1.0, 3.0]), atol=1e-3)


def test_parameters_are_trees_and_functions_have_arguments():
    def fun(params, target, weight):
        return weight * sum(jnp.sum((params[name] - target[name]) ** 2) for name in target)

    target = {"a": jnp.asarray(2.0), "b": jnp.arange(3.0)}
    result = gradtx.minimize(fun, jax.tree.map(jnp.zeros_like, target), args=(target, 3.0))
    chex.assert_trees_all_close(result.params, target, atol=1e-5)


def test_complex_parameters_go_where_the_objective_falls():
    def fun(z):
        return jnp.sum(jnp.abs(z - jnp.asarray([1 + 2j, -3j], jnp.complex64)) ** 2)

    result = gradtx.minimize(fun, jnp.zeros(2, jnp.complex64))
    assert MinimizeStatus(int(result.status)) is MinimizeStatus.CONVERGED
    chex.assert_trees_all_close(result.params, jnp.asarray([1 + 2j, -3j], jnp.complex64), atol=1e-5)


def test_members_of_a_batch_stop_by_themselves():
    starts = jnp.asarray([[-1.2, 1.0], [1.0, 1.0], [0.5, 2.0]])
    batch = jax.jit(jax.vmap(lambda x0: gradtx.minimize(rosenbrock, x0, tol=1e-3, max_steps=100)))(starts)
    alone = [gradtx.minimize(rosenbrock, x0, tol=1e-3, max_steps=100) for x0 in starts]
    chex.assert_trees_all_equal(batch.status, jnp.zeros(3, jnp.int32))
    chex.assert_trees_all_close(batch.params, jnp.ones((3, 2)), atol=1e-2)
    assert batch.num_steps[1] == 0
    assert (batch.num_steps != batch.num_steps[0]).any()
    chex.assert_trees_all_close(batch.value, jnp.stack([one.value for one in alone]), atol=1e-6)


def test_learning_rates_may_be_a_batch():
    values = jax.vmap(lambda rate: gradtx.minimize(booth, jnp.zeros(2), tx=gradtx.sgd(rate), max_steps=3).value)(
        jnp.asarray([0.01, 0.05])
    )
    assert values[1] < values[0]


def test_the_same_objective_compiles_once():
    traces = []

    def fun(x, shift):
        traces.append(x)
        return jnp.sum((x - shift) ** 2)

    gradtx.minimize(fun, jnp.zeros(3), args=(1.0,))
    once = len(traces)
    gradtx.minimize(fun, jnp.ones(3), args=(2.0,), tx=gradtx.lbfgs())
    assert len(traces) == once


def status_and_finite(result):
    chex.assert_tree_all_finite(result._replace(values=0))
    return MinimizeStatus(int(result.status)).name


def test_the_status_says_why_it_ended():
    assert status_and_finite(gradtx.minimize(booth, jnp.asarray([1.0, 3.0]))) == "CONVERGED"
    assert status_and_finite(gradtx.minimize(rosenbrock, jnp.zeros(10), max_steps=3)) == "MAX_STEPS"
    assert status_and_finite(gradtx.minimize(booth, jnp.zeros(2), tx=gradtx.sgd(10.0))) == "NOT_FINITE"
    start = gradtx.minimize(lambda x: jnp.sum(jnp.log(x)), -jnp.ones(2))
    assert MinimizeStatus(int(start.status)).name == "NOT_FINITE"
    assert start.num_steps == 0


def test_a_search_that_rounding_has_ended_says_so():
    def flat(x):
        return 1e4 + jnp.sum((x - 1 / 3) ** 2) + jnp.sum(x**4)

    result = gradtx.minimize(flat, jnp.asarray([2.0, -3.0, 0.7]), tol=0.0)
    assert status_and_finite(result) == "LINE_SEARCH_FAILED"
    assert result.num_evaluations < 200
    assert result.value <= flat(jnp.full(3, 0.25))


def test_a_minimum_next_to_where_the_objective_is_not_finite_is_found():
    def barrier(x):
        return jnp.sum(10 * x - jnp.log(x))  # NaN below zero

    result = gradtx.minimize(barrier, jnp.asarray([2.0, 0.05]), tol=1e-4)
    assert status_and_finite(result) == "CONVERGED"
    chex.assert_trees_all_close(result.params, jnp.full(2, 0.1), rtol=1e-4)


def test_an_integer_start_is_refused():
    with pytest.raises(TypeError, match=r"minimize: params\['n'\] has dtype int32"):
        gradtx.minimize(lambda p: 0.0, {"n": jnp.arange(3)})


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="minimize: max_steps must be at least 1, got 0"):
        gradtx.minimize(booth, jnp.zeros(2), max_steps=0)


def test_the_parameters_come_back_as_the_tree_that_they_were():
    params: dict[str, jax.Array] = {"w": jnp.ones(2)}
    result = gradtx.minimize(lambda p: jnp.sum((p["w"] - 2) ** 2), params)
    typing.assert_type(result.params, dict[str, jax.Array])  # for the type checker
    chex.assert_trees_all_close(result.params, {"w": jnp.full(2, 2.0)}, rtol=1e-4)
