"""`inject_hyperparams`: hyperparameters in the state, to read, write and schedule."""

import functools
import inspect
import pickle
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.core import Tracer

from gradtx import tree
from gradtx.core import GradientTransformation, GradientTransformationExtraArgs, ScalarOrSchedule, Schedule, chain, factory
from gradtx.inspection.hyperparameters import hyperparams
from gradtx.optimizers.adam import scale_by_adam
from gradtx.require import is_zero
from gradtx.schedules import linear_schedule
from gradtx.transforms.clipping import clip_by_global_norm
from gradtx.transforms.momentum import trace
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.wrappers.inject_hyperparams import (
    InjectStatefulHyperparamsState,
    StatefulSchedule,
    WrappedSchedule,
    WrappedScheduleState,
    inject_hyperparams,
    inject_stateful_hyperparams,
)
from gradtx.wrappers.masked import masked

foreign: Any = optax  # another library's classes are not ours to the type checker
PARAMS = {"w": jnp.arange(1.0, 7.0).reshape(2, 3), "b": jnp.ones(())}


def falling(step):
    return 1.0 - 0.1 * step.astype(float)


@factory
def small_adam(learning_rate: ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, mask: Any = None):
    """An optimizer with a mask, as optimizers have."""
    steps = chain(scale_by_adam(b1, b2), scale_by_learning_rate(learning_rate))
    return steps if mask is None else masked(steps, mask)


def steps(tx, n, state=None, params=PARAMS):
    state = tx.init(params) if state is None else state
    out = []
    for _ in range(n):
        updates, state = tx.update(params, state, params)
        out.append((updates, state))
    return out


def rates(tx, n, state=None):
    """The learning rate of each of n steps of `scale_by_learning_rate`, and the last state."""
    out = steps(tx, n, state, jnp.ones(()))
    return [round(float(-updates), 4) for updates, _ in out], out[-1][1]


# --- what it computes -------------------------------------------------------------------------------------------------


def test_it_equals_optax(x64):
    params = jax.tree.map(lambda p: p.astype(jnp.float64), PARAMS)
    dtype = {"hyperparam_dtype": jnp.float64}
    ours = steps(inject_hyperparams(small_adam, **dtype)(falling, b1=0.8), 5, params=params)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = steps(inject_optax_adam(**dtype)(falling, b1=0.8), 5, params=params)
    for (updates, state), (expected, expected_state) in zip(ours, theirs, strict=True):
        chex.assert_trees_all_close(updates, expected, rtol=1e-12)
        assert state._fields == expected_state._fields
        chex.assert_trees_all_close(state.count, expected_state.count)
        shared = {name: expected_state.hyperparams[name] for name in state.hyperparams}
        chex.assert_trees_all_close(state.hyperparams, shared, rtol=1e-15)
        chex.assert_trees_all_equal(
            state.hyperparams_states["learning_rate"].count, expected_state.hyperparams_states["learning_rate"].count
        )


def inject_optax_adam(**kwargs):
    return foreign.inject_hyperparams(foreign.adam, **kwargs)


def test_the_state_is_the_one_of_optax():
    state = inject_hyperparams(small_adam)(falling).init(PARAMS)
    assert isinstance(state, InjectStatefulHyperparamsState)
    assert type(state.hyperparams) is dict
    assert state.hyperparams.keys() == {"learning_rate", "b1", "b2"}
    chex.assert_trees_all_equal(state.hyperparams_states, {"learning_rate": WrappedScheduleState(jnp.zeros((), jnp.int32))})


def test_transformations_of_optax_can_be_injected():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        tx = inject_hyperparams(foreign.adamw)(falling, mask=lambda params: jax.tree.map(lambda p: p.ndim == 2, params))
        expected = foreign.adamw(falling, mask=lambda params: jax.tree.map(lambda p: p.ndim == 2, params))
        for (updates, _), (other, _) in zip(steps(tx, 3), steps(expected, 3), strict=True):
            chex.assert_trees_all_close(updates, other, rtol=1e-5)
    assert tx.init(PARAMS).hyperparams.keys() == {"learning_rate", "b1", "b2", "eps", "eps_root", "weight_decay"}


def test_adafactor_initializes_under_jit():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        state = jax.jit(inject_hyperparams(foreign.adafactor)(0.1).init)(PARAMS)
    assert "min_dim_size_to_factor" not in state.hyperparams


def test_hyperparameters_are_float32_whatever_the_params():
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    (updates, state), *_ = steps(inject_hyperparams(small_adam)(falling), 1, params=params)
    assert {h.dtype for h in state.hyperparams.values()} == {jnp.dtype("float32")}
    assert state.hyperparams["b2"] < 1
    chex.assert_tree_all_finite(updates)


def test_optax_inside_is_held_to_the_dtypes_of_its_state():
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        tx = inject_hyperparams(foreign.adam)(falling)
        (updates, state), *_ = steps(tx, 1, params=params)
    chex.assert_trees_all_equal_dtypes(state, tx.init(params))
    chex.assert_trees_all_equal_dtypes(updates, params)


def test_the_dtype_can_be_chosen():
    state = inject_hyperparams(small_adam, hyperparam_dtype=jnp.bfloat16)(0.1).init(PARAMS)
    assert state.hyperparams["b1"].dtype == jnp.bfloat16


# --- writing to the state ---------------------------------------------------------------------------------------------


def test_a_hyperparameter_that_is_written_stays():
    tx = inject_hyperparams(scale_by_learning_rate)(0.5)
    _, state = rates(tx, 1)
    for value in (0.25, jnp.array(0.125), jnp.float32(2.0)):
        state.hyperparams["learning_rate"] = value
        got, state = rates(tx, 2, state)
        assert got == [value, value]


@pytest.mark.parametrize("jitted", [False, True])
def test_a_scheduled_one_that_is_written_is_used_once(jitted):
    tx = inject_hyperparams(scale_by_learning_rate)(falling)
    tx = GradientTransformation(tx.init, jax.jit(tx.update)) if jitted else tx
    state = tx.init(jnp.ones(()))
    state.hyperparams["learning_rate"] = jnp.array(7.0)
    got, state = rates(tx, 3, state)
    assert got == [7.0, 0.9, 0.8]
    state.hyperparams["learning_rate"] = 0.5
    assert rates(tx, 2, state)[0] == [0.5, 0.6]


def test_a_schedule_that_is_taken_out_of_the_state_has_ended():
    tx = inject_hyperparams(scale_by_learning_rate)(falling)
    _, state = rates(tx, 2)
    del state.hyperparams_states["learning_rate"]
    assert rates(tx, 2, state)[0] == [0.9, 0.9]
    state.hyperparams["learning_rate"] = 3.0
    assert rates(tx, 2, state)[0] == [3.0, 3.0]


@pytest.mark.parametrize("stored", [lambda state: state, lambda state: jax.tree.map(np.asarray, state)])
def test_what_another_schedule_has_said_is_not_taken_for_the_users_word(stored):
    _, state = rates(inject_hyperparams(scale_by_learning_rate)(linear_schedule(1.0, 0.0, 10)), 5)
    tx, state = inject_hyperparams(scale_by_learning_rate)(linear_schedule(2.0, 0.0, 20)), stored(state)
    assert hyperparams(tx, state)["scale_by_learning_rate.learning_rate"] == 1.5
    assert rates(tx, 2, state)[0] == pytest.approx([1.5, 1.4])


def test_the_rate_is_that_of_the_count_that_was_set():
    tx = inject_hyperparams(scale_by_learning_rate)(falling)
    state = tree.set(tx.init(jnp.ones(())), count=5)
    assert hyperparams(tx, state)["scale_by_learning_rate.learning_rate"] == 0.5
    got, state = rates(tx, 1, state)
    assert got == [0.5]
    assert tree.get(state, "learning_rate") == 0.5


def test_a_scheduled_one_that_is_set_by_name_is_used_once():
    tx = inject_hyperparams(scale_by_learning_rate)(falling)
    state = tree.set(tx.init(jnp.ones(())), learning_rate=2)
    assert hyperparams(tx, state)["scale_by_learning_rate.learning_rate"] == 2.0
    assert rates(tx, 2, state)[0] == [2.0, 0.9]


def test_a_name_that_is_no_hyperparameter_is_refused():
    tx = inject_hyperparams(scale_by_learning_rate)(0.5)
    state = tx.init(PARAMS)
    state.hyperparams["lr"] = 0.1
    with pytest.raises(ValueError, match=r"inject_hyperparams\(scale_by_learning_rate\): 'lr' is none of .*are learning_rate"):
        tx.update(PARAMS, state)


# --- what is a hyperparameter -----------------------------------------------------------------------------------------


def made_of(**arguments):
    """Inject a factory that notes what it is given, and return the names found, and what the factory got in an update."""
    seen = {}

    def build(
        rate: float,
        count: int = 3,
        whole: float = 1,
        half=0.5,
        flag: bool = True,
        mode: str = "x",
        dtype: Any = jnp.float32,
        decay: Schedule | None = None,
        step_fn: Schedule | None = None,
        mask: Any = None,
        labels: Any | None = None,
        betas: tuple[float, float] = (0.9, 0.99),
        key: jax.Array | None = None,
        clip=lambda x: x,
        free=None,
    ):
        seen.update(locals())
        return scale_by_learning_rate(rate)

    tx = inject_hyperparams(build)(**arguments)
    state = tx.init(jnp.ones(()))
    tx.update(jnp.ones(()), state)
    return set(state.hyperparams), set(state.hyperparams_states), seen


def test_numbers_are_told_from_the_rest():
    names, scheduled, seen = made_of(rate=1, key=jax.random.key(0))
    assert names == {"rate", "whole", "half"}
    assert scheduled == set()
    assert (seen["count"], seen["flag"], seen["mode"], seen["dtype"]) == (3, True, "x", jnp.float32)


def test_schedules_are_told_from_other_functions():
    functions = dict.fromkeys(("rate", "half", "free", "step_fn", "mask", "labels", "clip"), falling)
    names, scheduled, seen = made_of(**functions)
    assert scheduled == {"rate", "half", "free"}
    assert names == {*scheduled, "whole"}
    assert seen["mask"] is seen["step_fn"] is seen["labels"] is seen["clip"] is falling


def test_static_args_are_given_as_they_are():
    seen = []

    def build(rate: float, power: float = 2.0):
        seen.append(power)
        return scale_by_learning_rate(rate)

    for static in ("power", ["power"], ("power",)):
        tx = inject_hyperparams(build, static_args=static)(0.1)
        assert tx.init(PARAMS).hyperparams.keys() == {"rate"}
    assert set(seen) == {2.0}


def test_a_number_that_the_factory_looks_at_stays_a_python_number():
    def build(rate: float, decay: float = 0.0):
        return scale_by_learning_rate(rate if decay > 0 else 2 * rate)

    assert inject_hyperparams(build)(0.1).init(PARAMS).hyperparams.keys() == {"rate"}
    make = inject_hyperparams(build)
    assert jax.jit(lambda rate: make(rate, 1.0).init(PARAMS))(0.1).hyperparams.keys() == {"rate"}
    with pytest.raises(TypeError, match=r"decay cannot be a schedule, as the factory looks at its value"):
        inject_hyperparams(build)(0.1, falling)


def test_an_unknown_static_argument_is_refused():
    with pytest.raises(ValueError, match=r"small_adam has no argument 'mas' to be static; did you mean 'mask'\?"):
        inject_hyperparams(small_adam, static_args="mas")


def test_a_number_out_of_range_is_refused_when_built():
    with pytest.raises(ValueError, match="b1 must be"):
        inject_hyperparams(small_adam)(0.1, b1=1.5)


def test_annotations_may_be_strings():
    def build(rate: "float", size: "int" = 2, other: "Missing" = None):  # noqa: F821  # pyright: ignore
        return scale_by_learning_rate(rate * size)

    assert "rate" in inject_hyperparams(build)(0.5).init(PARAMS).hyperparams


# --- schedules with a state -------------------------------------------------------------------------------------------


class Following(StatefulSchedule):
    """The last `value` that `update` was given."""

    def init(self):
        return jnp.ones(())

    def update(self, state, **extra_args):
        return extra_args["value"]

    def __call__(self, state, **extra_args):
        return state


def test_a_schedule_may_keep_a_state_of_its_own():
    tx = inject_stateful_hyperparams(scale_by_learning_rate)(Following())
    state = tx.init(PARAMS)
    got = []
    for value in (5.0, 6.0, 7.0):
        updates, state = tx.update(PARAMS, state, PARAMS, value=jnp.array(value), anything=1)
        got.append(float(-updates["b"]))
    assert got == [1.0, 5.0, 6.0]
    state.hyperparams["learning_rate"] = 3.0
    updates, _ = tx.update(PARAMS, state, PARAMS, value=jnp.array(8.0))
    assert float(-updates["b"]) == 3.0


def test_a_wrapped_schedule_counts():
    schedule = WrappedSchedule(falling)
    state = schedule.update(schedule.init(), value=3.0)
    assert isinstance(schedule, StatefulSchedule)
    assert schedule(state) == falling(jnp.array(1))


# --- tracing ----------------------------------------------------------------------------------------------------------


def test_unjitted_updates_trace_the_factory_once():
    calls = []

    def build(learning_rate: float):
        calls.append(learning_rate)
        return scale_by_learning_rate(learning_rate)

    tx = inject_hyperparams(build)(falling)
    calls.clear()
    steps(tx, 4)
    assert [isinstance(rate, Tracer) for rate in calls] == [False, True]  # in init, and in all updates together


def leaves_out_zero(learning_rate: float, momentum: float = 0.0):
    ball = [] if is_zero(momentum) else [trace(momentum)]
    return chain(*ball, scale_by_learning_rate(learning_rate))


def test_what_a_factory_leaves_out_at_zero_is_there_to_be_changed():
    tx = inject_hyperparams(leaves_out_zero)(learning_rate=1.0)
    update, state = tx.update(jnp.ones(()), tx.init(jnp.ones(())))
    assert update == -1.0
    state.hyperparams["momentum"] = 0.5
    update, _ = tx.update(jnp.ones(()), state)
    assert update == -1.5


def test_a_jitted_step_is_traced_once():
    tx = inject_hyperparams(small_adam)(falling, b1=0.5)
    step = jax.jit(chex.assert_max_traces(tx.update, n=1))
    steps(GradientTransformation(jax.jit(tx.init), step), 3)


def test_it_scans():
    tx = inject_hyperparams(scale_by_learning_rate)(falling)
    _, updates = jax.lax.scan(lambda s, _: tx.update(jnp.ones(()), s)[::-1], tx.init(jnp.ones(())), length=3)
    chex.assert_trees_all_close(updates, -jnp.array([1.0, 0.9, 0.8]))


def test_a_population_has_a_hyperparameter_each():
    learning_rates = jnp.array([0.1, 0.2])
    make = inject_hyperparams(scale_by_learning_rate)
    state = jax.vmap(lambda rate: make(rate).init(jnp.ones(())))(learning_rates)
    updates, state = jax.vmap(make(0.0).update)(jnp.ones(2), state)
    chex.assert_trees_all_close(updates, -learning_rates)
    chex.assert_trees_all_close(state.hyperparams["learning_rate"], learning_rates)


def test_the_learning_rate_has_a_gradient():
    tx = inject_hyperparams(small_adam)(0.1)

    def moved(rate):
        state = tx.init(PARAMS)
        state.hyperparams["learning_rate"] = rate
        updates, _ = tx.update(PARAMS, state, PARAMS)
        return -updates["b"]

    assert jax.grad(moved)(0.1) == pytest.approx(1.0, rel=1e-5)


def test_the_learning_rate_may_be_a_tracer():
    make = inject_hyperparams(scale_by_learning_rate)

    @jax.jit
    def step(rate):
        tx = make(rate)
        return tx.update(jnp.ones(()), tx.init(jnp.ones(())))[0]

    assert step(0.5) == -0.5
    assert jax.grad(step)(0.5) == -1.0


def test_a_fresh_state_shares_no_buffer_with_an_array_that_was_given():
    rate = jnp.array(0.5)
    tx = inject_hyperparams(scale_by_learning_rate)(rate)
    jax.jit(tx.update, donate_argnums=1)(jnp.ones(()), tx.init(jnp.ones(())))
    assert rates(tx, 1)[0] == [0.5]
    assert rate == 0.5


# --- values and contracts ---------------------------------------------------------------------------------------------


def test_the_factory_keeps_its_signature_and_its_docstring():
    injected = inject_hyperparams(small_adam)
    assert inspect.signature(injected) == inspect.signature(small_adam)
    assert injected.__doc__ == small_adam.__doc__
    with pytest.raises(TypeError, match="learning_rate"):
        injected()


def test_it_is_a_value():
    tx = inject_hyperparams(small_adam)(falling, b1=0.8)
    assert tx == inject_hyperparams(small_adam)(falling, b1=0.8)
    assert tx != inject_hyperparams(small_adam)(falling, b1=0.7)
    assert tx != inject_hyperparams(small_adam, static_args="b2")(falling, b1=0.8)
    assert repr(tx) == "inject_hyperparams(small_adam)(falling, 0.8)"
    assert len({tx, pickle.loads(pickle.dumps(tx))}) == 1


def test_injected_factories_are_values():
    assert inject_hyperparams(small_adam) == inject_hyperparams(small_adam)
    assert pickle.loads(pickle.dumps(inject_hyperparams(small_adam, "b2"))) == inject_hyperparams(small_adam, "b2")
    assert repr(inject_hyperparams(small_adam, "b2")) == "inject_hyperparams(small_adam, 'b2')"


def test_a_partial_factory_can_be_injected():
    tx = inject_hyperparams(functools.partial(small_adam, b1=0.5))(0.1)
    assert tx.init(PARAMS).hyperparams["b1"] == 0.5


def test_extra_arguments_reach_the_inner_transformation_and_typos_are_refused():
    def build(rate: float):
        def update(updates, state, params=None, *, value):
            return jax.tree.map(lambda g: g * rate * value, updates), state

        return GradientTransformationExtraArgs(lambda params: (), update)

    tx = inject_hyperparams(build)(0.5)
    updates, _ = tx.update(jnp.ones(()), tx.init(jnp.ones(())), value=4.0)
    assert updates == 2.0
    with pytest.raises(TypeError, match=r"^inject_hyperparams\(.*build\): nothing here reads .* did you mean 'value'"):
        tx.update(jnp.ones(()), tx.init(jnp.ones(())), valeu=4.0)


def test_strict_promotion_is_enough_where_dtypes_of_hyperparameters_and_parameters_differ():
    tx = inject_hyperparams(clip_by_global_norm)(1.0)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        params = {"w": jnp.asarray([3.0, 4.0], jnp.float64)}
        updates, _ = tx.update(params, tx.init(params), params)
        chex.assert_trees_all_close(updates["w"], jnp.asarray([0.6, 0.8], jnp.float64), rtol=1e-6)
