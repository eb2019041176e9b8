"""`MultiSteps`: one step of several mini-batches."""

import functools
import pickle
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import gradtx
from gradtx.core import EmptyState, GradientTransformation, GradientTransformationExtraArgs, chain
from gradtx.optimizers.adam import scale_by_adam
from gradtx.testing.events import LOWERED, compiler_events
from gradtx.transforms.scale import scale
from gradtx.tree import full_like
from gradtx.wrappers.multi_steps import MultiSteps, MultiStepsState, skip_large_updates, skip_not_finite

foreign: Any = optax  # another library's classes are not ours to the type checker
PARAMS = {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(())}


def growing(step):
    return jnp.where(step < 2, 2, 3)


def gradients(t, like=PARAMS):
    random = np.random.default_rng(t)
    value = {4: np.nan, 7: np.inf, 9: 100.0}.get(t, 1.0)
    return jax.tree.map(lambda p: jnp.asarray(value * random.normal(size=p.shape), p.dtype), like)


def trajectory(tx, steps, params=PARAMS):
    state, out = tx.init(params), []
    for t in range(steps):
        updates, state = tx.update(gradients(t, params), state, params)
        out.append((updates, state))
    return out


def counting(runs):
    """The identity, which notes each run (not each trace)."""

    def update(updates, state, params=None):
        jax.debug.callback(lambda: runs.append(1))
        return updates, state

    return GradientTransformation(lambda params: EmptyState(), update)


SKIPS = {
    "nothing": (None, None),
    "not finite": (skip_not_finite, foreign.skip_not_finite),
    "large": (
        functools.partial(skip_large_updates, max_squared_norm=100.0),
        functools.partial(foreign.skip_large_updates, max_squared_norm=100.0),
    ),
}


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("every_k", [4, growing])
@pytest.mark.parametrize("skip", SKIPS)
def test_it_equals_optax(x64, every_k, mean, skip):
    ours_skip, theirs_skip = SKIPS[skip]
    params = jax.tree.map(lambda p: p.astype(jnp.float64), PARAMS)
    steps = 12 if skip == "not finite" else 4  # elsewhere the NaN of step 4 goes through
    ours = trajectory(MultiSteps(scale_by_adam(), every_k, mean, ours_skip, jnp.float64), steps, params)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = trajectory(foreign.MultiSteps(foreign.scale_by_adam(), every_k, mean, theirs_skip, jnp.float64), steps, params)
    for (updates, state), (expected, expected_state) in zip(ours, theirs, strict=True):
        chex.assert_trees_all_close(updates, expected, rtol=1e-12)
        chex.assert_trees_all_close(dict(state._asdict(), inner_opt_state=0), dict(expected_state._asdict(), inner_opt_state=0))
        chex.assert_trees_all_close(jax.tree.leaves(state), jax.tree.leaves(expected_state), rtol=1e-12)
        assert isinstance(state, MultiStepsState)


def test_the_inner_transformation_runs_only_when_it_takes_a_step():
    runs = []
    trajectory(MultiSteps(counting(runs), 4), 8)
    jax.effects_barrier()
    assert len(runs) == 2


def test_unjitted_calls_trace_once():
    traces = []

    def update(updates, state, params=None):
        traces.append(1)
        return updates, state

    trajectory(MultiSteps(GradientTransformation(lambda params: EmptyState(), update), 2), 6)
    assert len(traces) == 1


def test_updates_are_zero_in_between_and_has_updated_tells():
    tx = MultiSteps(scale(1.0), 3)
    steps = trajectory(tx, 4)
    assert [bool(tx.has_updated(state)) for _, state in steps] == [False, False, True, False]
    assert [bool(jnp.any(updates["w"] != 0)) for updates, _ in steps] == [False, False, True, False]


def test_a_mini_step_left_out_counts_for_nothing():
    tx = MultiSteps(scale(1.0), 2, should_skip_update_fn=skip_not_finite)
    state = tx.init(PARAMS)
    for value in (1.0, np.nan, 3.0):
        updates, state = tx.update(full_like(PARAMS, value), state)
    chex.assert_trees_all_close(updates, full_like(PARAMS, 2.0))
    assert state.gradient_step == 1


@pytest.mark.parametrize(("norm", "skipped"), [(3.9, False), (4.0, True), (np.inf, True), (np.nan, True)])
def test_large_updates_are_skipped_from_the_bound_on(norm, skipped):
    should_skip, report = skip_large_updates(jnp.sqrt(jnp.array([norm])), 0, None, 4.0)
    assert should_skip == report["should_skip"] == skipped


def test_an_infinite_gradient_is_reported_as_infinite():
    for value in (np.inf, -np.inf):
        should_skip, report = skip_large_updates({"w": jnp.asarray([1.0, value])}, 0, None, 4.0)
        assert should_skip
        assert report["norm_squared"] == np.inf


def test_a_schedule_that_says_0_lets_every_mini_step_through():
    tx = MultiSteps(scale(1.0), lambda step: jnp.where(step < 2, 0, 1))
    assert [bool(tx.has_updated(state)) for _, state in trajectory(tx, 3)] == [True, True, True]


def test_the_squared_norm_of_float16_does_not_overflow():
    _, report = skip_large_updates(jnp.full(4, 512.0, jnp.float16), 0, None, 1.0)
    assert report["norm_squared"] == 4 * 512.0**2


def test_small_gradients_are_not_lost_in_low_precision():
    params = {"w": jnp.zeros(2, jnp.bfloat16)}
    tx = MultiSteps(scale(1.0), 512, use_grad_mean=False)

    def body(state, _):
        updates, state = tx.update({"w": jnp.ones(2, jnp.bfloat16)}, state)
        return state, updates

    _, updates = jax.lax.scan(body, tx.init(params), length=512)
    chex.assert_trees_all_equal(updates["w"][-1], jnp.full(2, 512, jnp.bfloat16))  # a bfloat16 sum stops at 256


@pytest.mark.parametrize(("dtype", "expected"), [(jnp.float32, "float32"), (None, "float32"), (jnp.bfloat16, "bfloat16")])
def test_the_accumulator_is_float32_unless_asked_otherwise(dtype, expected):
    state = MultiSteps(scale(1.0), 2, accumulator_dtype=dtype).init({"w": jnp.zeros(2, jnp.bfloat16)})
    assert state.acc_grads["w"].dtype == expected


def test_complex_gradients_are_gathered_as_they_are():
    tx = MultiSteps(scale(1.0), 2)
    state = tx.init(jnp.zeros(2, jnp.complex64))
    for g in (1 + 1j, 3 - 5j):
        updates, state = tx.update(jnp.full(2, g, jnp.complex64), state)
    chex.assert_trees_all_close(updates, jnp.full(2, 2 - 2j, jnp.complex64))


def test_a_schedule_may_return_floats():
    tx = MultiSteps(scale(1.0), lambda step: jnp.asarray(2.0))
    assert [int(state.gradient_step) for _, state in trajectory(tx, 4)] == [0, 1, 1, 2]


def test_it_is_a_transformation_in_a_chain_in_a_scan():
    tx = chain(MultiSteps(scale_by_adam(), 2), scale(-0.1))
    assert isinstance(MultiSteps(scale(1.0), 2), GradientTransformationExtraArgs)
    stacked = jax.tree.map(lambda *g: jnp.stack(g), *(gradients(t) for t in range(4)))

    def body(state, g):
        updates, state = tx.update(g, state, PARAMS)
        return state, updates

    _, updates = jax.lax.scan(body, tx.init(PARAMS), stacked)
    expected = [updates for updates, _ in trajectory(tx, 4)]
    chex.assert_trees_all_close(updates, jax.tree.map(lambda *u: jnp.stack(u), *expected), rtol=1e-6)


def test_members_of_a_population_take_their_steps_apart():
    tx = MultiSteps(scale(1.0), 2, should_skip_update_fn=skip_not_finite)
    state = jax.vmap(tx.init)(jnp.ones((2, 3)))
    for g in (jnp.ones((2, 3)), jnp.ones((2, 3)).at[1].set(np.nan)):
        updates, state = jax.vmap(tx.update)(g, state)
    chex.assert_trees_all_equal(updates, jnp.array([[1.0] * 3, [0.0] * 3]))
    chex.assert_trees_all_equal(tx.has_updated(state), jnp.array([True, False]))


def test_it_is_a_value():
    tx = MultiSteps(scale(2.0), 4, should_skip_update_fn=skip_not_finite)
    assert tx == MultiSteps(scale(2.0), 4, should_skip_update_fn=skip_not_finite)
    assert tx != MultiSteps(scale(2.0), 5, should_skip_update_fn=skip_not_finite)
    assert len({tx, pickle.loads(pickle.dumps(tx))}) == 1
    assert isinstance(pickle.loads(pickle.dumps(tx)), MultiSteps)
    assert repr(tx) == "MultiSteps(scale(2.0), 4, should_skip_update_fn=skip_not_finite)"
    assert tx.gradient_transformation() is tx
    assert tx.inner_opt == scale(2.0)
    init, update = tx
    assert (init, update) == (tx.init, tx.update)


def test_a_subclass_stays_a_subclass():
    class Mine(MultiSteps):
        pass

    assert isinstance(Mine(scale(1.0), 2), Mine)
    assert repr(Mine(scale(1.0), 2)) == "Mine(scale(1.0), 2)"


def test_extra_arguments_reach_the_inner_transformation():
    def update(updates, state, params=None, *, value):
        return jax.tree.map(lambda g: g * value, updates), state

    tx = MultiSteps(GradientTransformationExtraArgs(lambda params: (), update), 1)
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), value=2.0)
    chex.assert_trees_all_equal(updates, jax.tree.map(lambda g: 2 * g, PARAMS))
    with pytest.raises(TypeError, match="MultiSteps: nothing here reads the extra argument 'valeu'"):
        tx.update(PARAMS, tx.init(PARAMS), valeu=2.0)


def test_integer_parameters_are_refused_by_path():
    with pytest.raises(TypeError, match=r"MultiSteps: params\['step'\] has dtype int32"):
        MultiSteps(scale(1.0), 2).init({"step": jnp.arange(3)})


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [(0, ValueError, "at least 1, got 0"), (2.5, TypeError, "must be an integer or a schedule")],
)
def test_an_impossible_number_of_mini_steps_is_refused(k, error, message):
    with pytest.raises(error, match=f"MultiSteps: every_k_schedule .*{message}"):
        MultiSteps(scale(1.0), k)


@pytest.mark.parametrize("mean", [True, False])
def test_what_there_is_is_emitted_when_asked_for_with_one_program(mean):
    chex.clear_trace_counter()
    tx = MultiSteps(scale(1.0), 4, use_grad_mean=mean)
    update = jax.jit(chex.assert_max_traces(tx.update, 1))
    state = tx.init(jnp.zeros(()))
    found, steps = [], []
    for t, emit in enumerate([False, False, True, True, False, False, False, False]):
        updates, state = update(jnp.asarray(float(t)), state, emit=jnp.asarray(emit))
        found.append(float(updates))
        steps.append(int(state.gradient_step))
    expected = [0, 0, 1, 3, 0, 0, 0, 5.5] if mean else [0, 0, 3, 3, 0, 0, 0, 22]
    assert found == expected
    assert steps == [0, 0, 1, 2, 2, 2, 2, 3]


def test_where_nothing_is_gathered_nothing_is_emitted_and_the_inner_update_does_not_run():
    runs = []
    tx = MultiSteps(counting(runs), 4, should_skip_update_fn=skip_not_finite)
    nothing = jnp.asarray(jnp.nan)
    state = tx.init(jnp.zeros(()))
    updates, state = tx.update(nothing, state, emit=True)
    assert (float(updates), int(state.gradient_step), int(state.mini_step)) == (0, 0, 0)
    _, state = tx.update(jnp.asarray(3.0), state, emit=False)
    updates, state = tx.update(nothing, state, emit=True)  # what there is comes from before
    assert (float(updates), int(state.gradient_step), int(state.mini_step)) == (3, 1, 0)
    jax.effects_barrier()
    assert len(runs) == 1


def test_emit_reaches_what_accumulates_inside():
    tx = gradtx.MultiSteps(gradtx.chain(gradtx.MultiSteps(gradtx.sgd(1.0), 3), gradtx.identity()), 2)
    params = jnp.ones(())
    updates, state = tx.update(jnp.asarray(4.0), tx.init(params), params, emit=True)
    assert (updates, state.gradient_step) == (-4.0, 1)
    updates, _ = tx.update(jnp.asarray(4.0), state, params)
    assert updates == 0


def test_emit_passes_through_wrappers_and_must_be_a_bool():
    tx = gradtx.exponentially_averaged(chain(scale(2.0), MultiSteps(scale(1.0), 4)), warmup=False, decay=0.5)
    params = jnp.zeros(())
    updates, state = tx.update(jnp.ones(()), tx.init(params), params, emit=True)
    assert float(updates) == 2
    assert float(state.average) == 1
    for emit in ("False", 1, jnp.ones(2, bool)):
        with pytest.raises(TypeError, match="MultiSteps: emit must be a bool"):
            tx.update(jnp.ones(()), state, params, emit=emit)


AROUND = {
    "averaged": lambda tx: gradtx.averaged(tx, 0.1, overwrite_every=2),
    "exponentially_averaged": gradtx.exponentially_averaged,
    "polyak_averaged": gradtx.polyak_averaged,
    "stochastic_weight_averaged": lambda tx: gradtx.stochastic_weight_averaged(tx, 2, begin=1),
    "schedule_free": lambda tx: gradtx.schedule_free(tx, 0.1),
    "lookahead": lambda tx: gradtx.lookahead(tx, 2, 0.5),
    "lookahead, reset": lambda tx: gradtx.lookahead(tx, 2, 0.5, reset_state=True),
}


@pytest.mark.parametrize("wrapper", AROUND)
@pytest.mark.parametrize("wrapped", [lambda tx: tx, lambda tx: chain(scale(1.0), gradtx.flatten(tx))], ids=["bare", "deep"])
def test_wrappers_around_it_count_the_steps_of_its_optimizer(wrapper, wrapped):
    """Of k equal gradients the mean is the gradient: so k mini-steps are a step of the optimizer itself."""
    inner = gradtx.sgd(0.1, momentum=0.9)
    every, plain = AROUND[wrapper](wrapped(MultiSteps(inner, 3))), AROUND[wrapper](wrapped(inner))
    params = {"w": jnp.asarray([1.0, -2.0])}
    params = gradtx.LookaheadParams.init_synced(params) if "lookahead" in wrapper else params
    expected, found = (params, plain.init(params)), (params, every.init(params))

    def step(tx, params, state, t):
        gradients = jax.tree.map(lambda p: p * (1 + t), getattr(params, "fast", params))
        updates, state = tx.update(gradients, state, params)
        return gradtx.apply_updates(params, updates), state

    for t in range(4):
        expected = step(plain, *expected, t)
        for _ in range(3):
            before = found
            found = step(every, *found, t)
            if _ < 2:
                chex.assert_trees_all_equal(found[0], before[0])
        chex.assert_trees_all_close(found[0], expected[0], rtol=1e-6)
        chex.assert_trees_all_close(*(gradtx.eval_params(state, p) for p, state in (found, expected)), rtol=1e-6)


# --- gradients that are not summed yet ----------------------------------------------------------------------------------


@pytest.mark.parametrize("use_grad_mean", [True, False])
def test_gradients_of_an_explicit_mesh_are_summed_once_a_step(use_grad_mean):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,), devices=jax.devices()[:4])
    x = np.cos(np.arange(96.0)).reshape(3, 8, 4).astype("float32")  # three mini-batches of eight examples
    w = {"w": jnp.ones((4, 2))}
    tx = gradtx.MultiSteps(gradtx.adam(0.1), 3, use_grad_mean)

    def reduced(params):
        return jax.tree.map(lambda p: jax.sharding.reshard(p, P(reduced=frozenset({"data"}))), params)

    def loss(params, x):
        return jnp.sum(jnp.tanh(x @ params["w"]) ** 2)

    def step(model_of, params, state, x):
        updates, state = tx.update(jax.grad(loss)(model_of(params), x), state, params)
        return gradtx.apply_updates(params, updates), state

    (expected, _), _ = jax.lax.scan(lambda carry, x: (step(lambda p: p, *carry, x), None), (w, tx.init(w)), x)
    with jax.set_mesh(mesh):
        params, batches = jax.device_put(w, P(None, None)), [jax.device_put(each, P("data")) for each in x]
        state = jax.jit(lambda params: tx.init(reduced(params)))(params)
        run = jax.jit(functools.partial(step, reduced))
        program = run.lower(params, state, batches[0]).compile().as_text() or ""
        assert "all-reduce" not in program.split("ENTRY")[1]  # it is in a branch of the condition
        with compiler_events(LOWERED) as lowered:
            for each in batches:
                params, state = run(params, state, each)
        assert len(lowered) <= 1
        assert jax.typeof(state.acc_grads["w"]).sharding.spec.unreduced == {"data"}
    chex.assert_trees_all_close(jax.device_get(params), jax.device_get(expected), rtol=1e-6)


def test_what_divides_the_state_scatters_what_was_accumulated():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,), devices=jax.devices()[:4])
    tx = gradtx.MultiSteps(gradtx.sharded(gradtx.adam(0.1)), 2)
    with jax.set_mesh(mesh):
        params = jax.device_put({"w": jnp.ones((4, 2))}, P(None, None))
        terms = jax.tree.map(lambda p: jax.sharding.reshard(2 * p, P(unreduced=frozenset({"data"}))), params)
        update, state = jax.jit(tx.update), tx.init(params)
        _, state = update(terms, state, params)
        updates, state = update(terms, state, params)
        assert state.inner_opt_state[0].mu["w"].sharding.spec == P("data", None)
    np.testing.assert_allclose(updates["w"], -0.1, rtol=1e-5)
