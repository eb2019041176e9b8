"""What line searches do with arguments of the objective, with failures, and with what they have computed."""

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx
from gradtx.transforms import zoom_linesearch

SEARCHES = {
    "backtracking": lambda **options: gradtx.scale_by_backtracking_linesearch(15, store_grad=True, **options),
    "zoom": lambda **options: gradtx.scale_by_zoom_linesearch(15, **options),
}
searches = pytest.mark.parametrize("search", SEARCHES)


def squares(params):
    return jnp.sum(params**2)


def updated(tx, fun, params, state=None, **extra_args):
    """One step down the gradient of `fun`."""
    taken = {name: arg for name, arg in extra_args.items() if name in ("x", "y")}
    value, grad = jax.value_and_grad(fun)(params, **taken)
    state = tx.init(params) if state is None else state
    return tx.update(grad, state, params, value=value, grad=grad, value_fn=fun, **extra_args)


@searches
def test_the_objective_gets_its_arguments(search):
    def fun(params, x, *, y=0.0):
        return (jnp.dot(x, params) - y) ** 2

    tx = gradtx.chain(gradtx.sgd(1.0), SEARCHES[search]())
    params, x = jnp.asarray([1.0, 2.0, 3.0]), jnp.asarray([3.0, 2.0, 1.0])
    updates, state = updated(tx, fun, params, x=x, y=jnp.asarray(1.0))
    value = fun(params + updates, x, y=1.0)
    assert value < 81.0
    chex.assert_trees_all_close(state[-1].value, value, rtol=1e-4, atol=1e-9)
    chex.assert_trees_all_close(state[-1].grad, jax.grad(fun)(params + updates, x, y=1.0), rtol=1e-3, atol=1e-4)


@searches
def test_a_misspelt_argument_of_the_objective_is_named_and_what_it_does_not_take_is_ignored(search):
    def scaled_squares(params, scale=1.0):
        return scale * squares(params)

    tx = gradtx.chain(gradtx.sgd(1.0), SEARCHES[search]())
    message = f"scale_by_{search}_linesearch: nothing here reads the extra argument 'scael'; did you mean 'scale'"
    with pytest.raises(TypeError, match=message):
        updated(tx, scaled_squares, jnp.ones(2), scael=1.0)
    updated(tx, scaled_squares, jnp.ones(2), key=jax.random.key(0), step=3)  # may be meant for others


@searches
def test_what_the_search_reads_is_required(search):
    tx = SEARCHES[search]()
    with pytest.raises(TypeError, match=f"scale_by_{search}_linesearch reads 'grad'"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)), jnp.ones(2), value=1.0, value_fn=squares)


@searches
def test_nothing_is_computed_again(search):
    tx = gradtx.chain(gradtx.sgd(1.0), SEARCHES[search]())
    params = jnp.asarray([1.0, -2.0])
    value_and_grad = gradtx.value_and_grad_from_state(squares)
    state = tx.init(params)
    chex.assert_trees_all_close(value_and_grad(params, state=state), jax.value_and_grad(squares)(params))
    for _ in range(3):
        value, grad = value_and_grad(params, state=state)
        updates, state = tx.update(grad, state, params, value=value, grad=grad, value_fn=squares)
        params = params + updates
        stored = value_and_grad(params, state=state)
        chex.assert_trees_all_equal(stored, (state[-1].value, state[-1].grad))
        chex.assert_trees_all_close(stored, jax.value_and_grad(squares)(params), atol=1e-6)


def test_what_is_stored_is_returned_under_jit_whatever_the_function():
    tx = gradtx.scale_by_zoom_linesearch(5)
    params = jnp.asarray([1.0, -2.0])
    state = tx.init(params)
    constant = jax.jit(gradtx.value_and_grad_from_state(lambda params: 1.0))  # a number of Python
    chex.assert_trees_all_equal(constant(params, state=state), (jnp.ones(()), jnp.zeros(2)))
    value, grad = jax.value_and_grad(squares)(params)
    _, state = tx.update(-grad, state, params, value=value, grad=grad, value_fn=squares)
    chex.assert_trees_all_equal(constant(params, state=state), (state.value, state.grad))


def test_a_state_without_gradient_is_refused():
    tx = gradtx.scale_by_backtracking_linesearch(5)
    with pytest.raises(ValueError, match="holds no value and gradient; use scale_by_zoom_linesearch"):
        gradtx.value_and_grad_from_state(squares)(jnp.ones(2), state=tx.init(jnp.ones(2)))


@searches
def test_a_search_that_has_failed_begins_again(search):
    """Where every try is NaN the rate is 0: a rate that the next search multiplies would never leave it."""
    tx = gradtx.chain(gradtx.sgd(1.0), SEARCHES[search]())
    params = jnp.ones(2)
    updates, state = updated(tx, lambda p: jnp.where(jnp.all(p == 1), jnp.sum(p), jnp.nan), params)
    chex.assert_trees_all_equal(updates, jnp.zeros(2))
    assert state[-1].learning_rate == 0
    updates, state = updated(tx, squares, params, state)
    assert state[-1].learning_rate > 0
    assert squares(params + updates) < squares(params)


@searches
def test_an_infinite_direction_moves_nothing(search):
    tx = SEARCHES[search]()
    params = jnp.ones(2)
    value, grad = jax.value_and_grad(squares)(params)
    updates, state = tx.update(jnp.full(2, jnp.inf), tx.init(params), params, value=value, grad=grad, value_fn=squares)
    chex.assert_trees_all_equal(updates, jnp.zeros(2))
    chex.assert_trees_all_equal((state.value, state.grad), (value, grad))


@searches
def test_slopes_of_complex_parameters_are_real_derivatives(search):
    def fun(z):
        return jnp.sum(jnp.abs(z - jnp.asarray([1 + 2j, -3j], jnp.complex64)) ** 2)

    params = jnp.asarray([1j, 2.0], jnp.complex64)
    value, grad = jax.value_and_grad(fun)(params)
    tx = SEARCHES[search]()
    updates, _ = tx.update(-jnp.conj(grad), tx.init(params), params, value=value, grad=grad, value_fn=fun)
    assert fun(params + updates) < value


@searches
def test_failures_are_printed_on_demand(search, capfd):
    uphill = gradtx.chain(gradtx.scale(1.0), SEARCHES[search](verbose=True))
    updated(uphill, squares, jnp.ones(2))
    jax.effects_barrier()
    assert f"scale_by_{search}_linesearch: no" in capfd.readouterr().out
    downhill = gradtx.chain(gradtx.sgd(0.5), SEARCHES[search](verbose=True))
    updated(downhill, squares, jnp.ones(2))
    jax.effects_barrier()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("function", "at", "direction", "options", "reasons"),
    [
        (squares, 1.0, 1.0, {}, {"UPHILL", "NO_RATE"}),
        (squares, -60.0, 1.0, {"max_learning_rate": 10.0, "curv_rtol": 0.5}, {"NO_INTERVAL", "STEEP"}),
        (lambda x: jnp.abs(x - 1).sum(), 0.0, 1.0, {"stepsize_precision": 0.1, "curv_rtol": 0.01}, {"NARROW", "STEEP"}),
    ],
    ids=["uphill", "short", "a corner"],
)
def test_zoom_says_why_it_failed(function, at, direction, options, reasons, capfd):
    tx = gradtx.scale_by_zoom_linesearch(15, verbose=True, **options)
    params = jnp.full(1, at)
    value, grad = jax.value_and_grad(function)(params)
    tx.update(jnp.full(1, direction), tx.init(params), params, value=value, grad=grad, value_fn=function)
    jax.effects_barrier()
    printed = capfd.readouterr().out
    words = ("UPHILL", "NO_RATE", "NO_INTERVAL", "NARROW", "STEEP")
    assert {word for word in words if getattr(zoom_linesearch, word) in printed} == reasons


def test_a_strategy_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match='must be "one" or "keep", got \'two\''):
        gradtx.scale_by_zoom_linesearch(5, initial_guess_strategy="two")  # pyright: ignore[reportArgumentType]
