"""`compiled`: one compilation outside of `jit`, nothing but a call inside."""

import gc
from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest

from gradtx.compiled import compiled, jit_for_each, keep_dtypes, run_if
from gradtx.schedules import linear_schedule


def counted():
    """An `update` that adds a scaled key to its state, and a list that grows at each trace."""
    traces = []

    @compiled
    def update(updates, state, params=None, *, value=0.0, value_fn=None, key=None):
        traces.append(params)
        value = value if value_fn is None else value_fn(value)
        noise = 0.0 if key is None else jax.random.uniform(key)
        return jax.tree.map(lambda g: g * value + noise, updates), state

    return update, traces


def double(x):
    return 2 * x


def test_repeated_calls_trace_once_also_with_functions_and_keys():
    update, traces = counted()
    for i in range(3):
        update(jnp.ones(2), (), value=float(i), value_fn=double, key=jax.random.key(i))
    assert len(traces) == 1


def test_a_bound_method_is_the_same_function_at_each_call():
    class Model:
        def loss(self, x):
            return x

    update, traces = counted()
    model = Model()
    for _ in range(3):
        update(jnp.ones(2), (), value=1.0, value_fn=model.loss)
    assert len(traces) == 1


def test_another_function_is_used_when_it_is_given():
    update, _ = counted()
    updates = [update(jnp.ones(()), (), value=1.0, value_fn=f)[0] for f in (double, jnp.negative)]
    chex.assert_trees_all_equal(updates, [jnp.array(2.0), jnp.array(-1.0)])


def test_what_is_not_an_array_passes_beside_jit():
    traces = []

    @compiled
    def update(updates, state, params: Any = None):
        traces.append(params)
        return params["function"](updates), state

    params = {"w": jnp.ones(2), "function": double, "word": "relu", "flag": True, "object": object()}
    for k in range(3):
        assert update(jnp.asarray(float(k)), (), {**params, "w": jnp.full(2, k)})[0] == 2 * k
    assert len(traces) == 1
    assert traces[0]["flag"] is True
    assert traces[0]["word"] == "relu"
    assert update(jnp.ones(()), (), {**params, "function": jnp.negative})[0] == -1


def test_values_made_of_numbers_are_equal_and_kept():
    run = jit_for_each(lambda static, x: (traces.append(static), static[0](x))[1])
    traces = []
    for _ in range(2):
        run((linear_schedule(1.0, 0.0, 4),), jnp.asarray(2))
    assert len(traces) == 1


def test_there_are_only_so_many_programs():
    run = jit_for_each(lambda static, x: static[0](x))
    functions = [lambda x, k=k: x + k for k in range(40)]
    run((functions[0],), 1)
    gc.collect()
    before = len(jax.devices()[0].client.live_executables())
    assert [int(run((f,), 1)) for f in functions] == list(range(1, 41))
    gc.collect()
    assert len(jax.devices()[0].client.live_executables()) < before + 20


def test_missing_params_stay_missing():
    update, traces = counted()
    update(jnp.ones(2), (), None, value=1.0)
    update(jnp.ones(2), (), jnp.ones(2), value=1.0)
    assert traces[0] is None
    assert traces[1] is not None


def test_functions_may_close_over_tracers():
    update, _ = counted()

    @jax.jit
    def run(factor):
        def body(total, _):
            updates, _ = update(jnp.ones(()), (), value=total, value_fn=lambda x: x * factor)
            return updates, ()

        once, _ = update(jnp.ones(()), (), value=1.0, value_fn=lambda x: x * factor)
        return jax.lax.scan(body, once, length=3)[0]

    assert run(2.0) == 16.0
    assert jax.grad(run)(2.0) == 32.0


def test_an_update_that_closes_over_a_tracer_works_at_several_levels():
    @jax.jit
    def run(factor):
        update = compiled(lambda updates, state, params=None: (updates * factor, state))
        once, _ = update(jnp.ones(()), ())
        again, _ = jax.lax.scan(lambda u, _: update(u, ()), once, length=2)
        return update(again, ())[0]

    assert run(2.0) == 16.0
    chex.assert_trees_all_equal(jax.vmap(run)(jnp.array([1.0, 2.0])), jnp.array([1.0, 16.0]))


def test_an_argument_that_is_neither_array_nor_hashable_is_refused():
    update, _ = counted()

    class Unhashable:
        def __eq__(self, other):
            return True

    with pytest.raises((TypeError, ValueError), match="hashable"):
        update(jnp.ones(2), (), value_fn=Unhashable())


def test_dtypes_are_kept_and_keys_are_let_through():
    old = {"x": jnp.ones(2, jnp.bfloat16), "key": jax.random.key(0), "n": jnp.zeros((), jnp.int32)}
    new = {"x": jnp.ones(2), "key": jax.random.key(1), "n": jnp.ones((), jnp.int32)}
    chex.assert_trees_all_equal_dtypes(keep_dtypes(new, old), old)


def test_one_of_two_runs_in_the_dtypes_of_the_other():
    runs = []

    def run():
        jax.debug.callback(lambda: runs.append("run"))
        return {"x": jnp.ones(2), "n": jnp.int8(1)}

    def otherwise():
        jax.debug.callback(lambda: runs.append("otherwise"))
        return {"x": jnp.zeros(2, jnp.bfloat16), "n": jnp.int32(0)}

    chosen = run_if(jnp.array(True), run, otherwise)
    chex.assert_trees_all_equal(chosen, {"x": jnp.ones(2, jnp.bfloat16), "n": jnp.int32(1)})
    chex.assert_trees_all_equal(run_if(jnp.array(False), run, otherwise), otherwise())
    jax.effects_barrier()
    assert runs == ["run", "otherwise", "otherwise"]
