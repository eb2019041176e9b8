"""Outside of `jit` an update is one program, which equal optimizers share."""

import gc
import weakref

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.core import Tracer

import gradtx
from gradtx.core import programs

pytestmark = pytest.mark.quick

PARAMS = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.asarray([0.1, -0.2])}
GRADS = jax.tree.map(jnp.cos, PARAMS)


def compilations(run):
    """How often JAX compiles something while `run` runs."""
    count = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        count.extend([event] if event == "/jax/core/compile/backend_compile_duration" else [])

    jax.monitoring.register_event_duration_secs_listener(listen)
    run()
    jax.monitoring.unregister_event_duration_listener(listen)
    return len(count)


def step(tx, params=PARAMS, grads=GRADS):
    return tx.update(grads, tx.init(params), params)


def test_an_update_is_one_compilation_and_an_equal_optimizer_none():
    def make():
        return gradtx.chain(gradtx.clip_by_global_norm(0.5), gradtx.adamw(gradtx.cosine_decay_schedule(0.123, 7)))

    state = make().init(PARAMS)
    assert compilations(lambda: make().update(GRADS, state, PARAMS)) == 1
    assert compilations(lambda: make().update(GRADS, state, PARAMS)) == 0


def test_it_computes_what_it_does_under_jit():
    tx = gradtx.chain(gradtx.clip_by_global_norm(0.5), gradtx.adamw(0.1))
    chex.assert_trees_all_close(step(tx), jax.jit(lambda: step(tx))(), rtol=1e-6)


def test_what_passes_is_the_very_array():
    tx = gradtx.masked(gradtx.adam(0.1), {"w": True, "b": False})
    updates, state = step(tx)
    assert updates["b"] is GRADS["b"]
    assert state.inner_state[0].mu["w"] is not GRADS["w"]
    idle = gradtx.chain(gradtx.identity(), gradtx.identity())
    assert step(idle)[0] is GRADS


def test_functions_of_the_user_see_values():
    seen = []

    def schedule(count):
        seen.append(int(count))  # which a traced count has not
        return 0.1 if count < 3 else 0.01

    step(gradtx.adamw(schedule))
    step(gradtx.chain(gradtx.sgd(0.1), gradtx.stateless(lambda g, p: seen.append(float(g["b"][0])) or g)))
    assert len(seen) == 2


def test_a_factory_of_the_user_is_not_compiled():
    @gradtx.factory
    def halve():
        def update(updates, state, params=None):
            assert not any(isinstance(g, Tracer) for g in jax.tree.leaves(updates))
            return jax.tree.map(lambda g: g / 2, updates), state

        return gradtx.GradientTransformation(gradtx.init_empty_state, update)

    step(gradtx.chain(gradtx.scale(2.0), halve()))


def test_extra_arguments_pass_whether_they_are_arrays_or_functions():
    updates = [
        gradtx.polyak_sgd().update(GRADS, gradtx.polyak_sgd().init(PARAMS), PARAMS, value=value)[0]
        for value in (2.0, jnp.asarray(2.0))
    ]
    chex.assert_trees_all_close(*updates, rtol=1e-6)
    assert float(updates[1]["b"][0]) != 0


def test_models_that_are_spread_over_devices_leaf_by_leaf_are_no_program():
    assert programs.are_arrays((PARAMS, GRADS))
    assert not programs.are_arrays((PARAMS, 1.0))
    assert not programs.are_arrays(())


def test_optimizers_that_differ_in_numbers_alone_leave_one_program_behind():
    def program(k):
        tx = gradtx.chain(gradtx.clip(k + 1.0), gradtx.sgd(gradtx.linear_schedule(1.0 + k, 0.0, 9 + k)))
        return programs.program_of(tx.recipe, lambda *args: args)

    programs_alive = [weakref.ref(program(k)) for k in range(5)]
    gc.collect()
    assert [ref() is not None for ref in programs_alive] == [False] * 4 + [True]


def test_what_is_built_again_shares_the_program_of_an_equal_one_that_is_alive():
    alive = gradtx.sgd(0.123)
    program = programs.program_of(alive.recipe, lambda *args: args)
    programs.program_of(gradtx.sgd(0.2).recipe, lambda *args: args)  # now that is the last of its kind
    assert programs.program_of(gradtx.sgd(0.123).recipe, lambda *args: args) is program


def test_there_are_a_bounded_number_of_programs():
    gc.collect()
    before = len(programs._programs)  # those that something else keeps alive
    for k in range(40):
        programs.program_of(gradtx.chain(*[gradtx.sgd(0.1)] * (k + 1)).recipe, lambda *args: args)
    gc.collect()
    assert len(programs._programs) - before <= 32
