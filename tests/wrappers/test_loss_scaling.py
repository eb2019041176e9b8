"""`dynamic_loss_scaling`: float16 gradients neither vanish nor overflow, as with PyTorch's GradScaler."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from problem import SHAPES, flat, gradients, start
from recorded import read
from torch_grad_scaler_cases import BAD_STEPS, OVERFLOWS, SCALES, STEPS, TRAINING, TRAINING_STEPS, label

import gradtx
from gradtx import DynamicLossScalingState, dynamic_loss_scaling, scale_loss

PARAMS = {"w": jnp.array([1.0, -2.0, 0.5]), "b": jnp.array(3.0)}
GOLDEN = read("torch_grad_scaler")


def like_params(value):
    return jax.tree.map(lambda p: jnp.full_like(p, value), PARAMS)


def scales(tx, bad_steps, steps):
    """The scale and the growth tracker after each step, a row a step."""

    def step(state, g):
        state = tx.update(g, state)[1]
        return state, jnp.stack([state.scale, state.growth_tracker.astype(jnp.float32)])

    overflows = jnp.array([jnp.inf if step in bad_steps else 0.0 for step in range(steps)], jnp.float16)
    return jax.lax.scan(step, tx.init(jnp.float16(0)), overflows)[1]


# --- the scale --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pattern", "arguments"), SCALES)
def test_the_scale_is_that_of_pytorch(pattern, arguments):
    ours = scales(dynamic_loss_scaling(gradtx.sgd(0.1), **arguments), OVERFLOWS[pattern], STEPS)
    # PyTorch multiplies by the factors in float64: 1.1 and 0.9 are not float32 numbers.
    np.testing.assert_allclose(ours, GOLDEN[label(pattern, arguments)], rtol=1e-5 if 1.1 in arguments.values() else 0)


def test_the_scale_and_its_inverse_stay_normal_numbers():
    grown = scales(dynamic_loss_scaling(gradtx.identity(), 2.0**125, growth_interval=1), {}, 5)
    np.testing.assert_array_equal(grown[:, 0], 2.0**126)
    reduced = scales(dynamic_loss_scaling(gradtx.identity(), 2.0**-124), range(5), 5)
    np.testing.assert_array_equal(reduced[:, 0], [2.0**-125, *[2.0**-126] * 4])
    gentle = scales(dynamic_loss_scaling(gradtx.identity(), 4.0, min_scale=1.0), range(5), 5)
    np.testing.assert_array_equal(gentle[:, 0], [2.0, 1.0, 1.0, 1.0, 1.0])


@pytest.mark.parametrize("scale", [2.0**-126, 2.0**126])
def test_gradients_are_unscaled_at_the_ends_of_the_scale(scale):
    tx = dynamic_loss_scaling(gradtx.identity(), scale)
    unscaled, _ = tx.update(jnp.float32(1.5 * scale), tx.init(PARAMS))
    assert unscaled == 1.5


# --- the step ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [jnp.inf, -jnp.inf, jnp.nan])
def test_a_bad_step_changes_nothing_but_the_scale_and_its_counts(bad):
    tx = dynamic_loss_scaling(gradtx.adamw(gradtx.linear_schedule(0.1, 0.0, 10)))
    _, good = tx.update(like_params(2.0), tx.init(PARAMS), PARAMS)
    updates, state = tx.update({**like_params(2.0), "b": jnp.array(bad)}, good, PARAMS)
    chex.assert_trees_all_equal(updates, like_params(0.0))
    chex.assert_trees_all_equal(gradtx.apply_updates(PARAMS, updates), PARAMS)
    chex.assert_trees_all_equal(state.inner_state, good.inner_state)
    assert isinstance(state, DynamicLossScalingState)
    assert state[:4] == (good.scale / 2, 0, False, 1)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_the_inner_transformation_is_given_float32_gradients_of_the_true_loss(dtype):
    seen = []

    def look(updates, params):
        seen.append(updates.dtype)
        return 2.0**20 * updates

    tx = dynamic_loss_scaling(gradtx.stateless(look), 2.0**20)
    p = jnp.ones((), dtype)
    updates, _ = tx.update(jnp.asarray(3.0, dtype), tx.init(p), p)  # 3·2⁻²⁰ has no digits left in float16
    assert seen[-1] == jnp.float32
    assert updates.dtype == dtype
    assert updates == 3


def test_float64_gradients_stay_wide(x64):
    tx = dynamic_loss_scaling(gradtx.identity())
    g = jnp.asarray([1 / 3, 1e-300, 1e300])
    np.testing.assert_array_equal(tx.update(g, tx.init(g))[0], g / 2.0**16)


def test_complex_gradients_and_holes_are_unscaled():
    tx = dynamic_loss_scaling(gradtx.identity())
    tree = {"complex": jnp.array([3 + 4j, 0], jnp.complex64), "hole": None}
    updates, _ = tx.update(jax.tree.map(lambda g: 2.0**16 * g, tree), tx.init(tree))
    chex.assert_trees_all_equal(updates, tree)
    _, state = tx.update({"complex": jnp.array([1, jnp.inf * 1j]), "hole": None}, tx.init(tree))
    assert not state.last_finite


def test_gradients_that_overflow_as_they_are_unscaled_are_left_out():
    tx = dynamic_loss_scaling(gradtx.identity(), 2.0**-20)
    updates, state = tx.update(jnp.float32(1e35), tx.init(jnp.float32(0)))
    assert updates == 0
    assert not state.last_finite


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("optimizer", "tx"), [("SGD", gradtx.sgd(0.1, momentum=0.9)), ("Adam", gradtx.adam(0.1))], ids=["SGD", "Adam"]
)
def test_parameters_are_trained_as_by_pytorch(x64, optimizer, tx, dtype):
    tx = dynamic_loss_scaling(tx, **TRAINING)
    params = jax.tree.map(lambda p: jnp.asarray(p, dtype), start())
    state, moved = tx.init(params), []
    for step, gradient in enumerate(gradients()[:TRAINING_STEPS]):
        slopes = jax.tree.map(lambda g: jnp.asarray(g, dtype), gradient)
        g = jax.grad(lambda params, g=slopes, state=state: scale_loss(gradtx.tree.vdot(g, params), state))(params)
        g["kernel"] = g["kernel"].at[0, 0].set(BAD_STEPS.get(step, g["kernel"][0, 0]))
        params, state = whole_step(tx, g, params, state)
        moved.append(flat({name: np.asarray(params[name]) for name in SHAPES}))
    assert state.total_notfinite == len(BAD_STEPS)
    recorded = GOLDEN[f"{optimizer}, {dtype}"]
    movement = np.abs(recorded - flat(start())).max()
    assert np.abs(np.stack(moved) - recorded).max() <= {"float32": 2e-6, "float64": 1e-14}[dtype] * movement


def whole_step(tx, gradients, params, state):
    updates, state = jax.jit(tx.update)(gradients, state, params)
    return gradtx.apply_updates(params, updates), state


# --- around and inside of others ----------------------------------------------------------------------------------------

FINITE, BAD = jnp.ones(4), jnp.ones(4).at[2].set(jnp.nan)

NESTS = {
    "chain": lambda tx: gradtx.chain(gradtx.identity(), tx),
    "MultiSteps": lambda tx: gradtx.MultiSteps(tx, 2),
    "masked": lambda tx: gradtx.masked(tx, {"w": True, "b": False}),
    "partition": lambda tx: gradtx.partition({"a": tx, "b": gradtx.sgd(0.1)}, {"w": "a", "b": "b"}),
    "averaged": lambda tx: gradtx.averaged(tx, 0.1),
    "inject_hyperparams": lambda tx: gradtx.inject_hyperparams(dynamic_loss_scaling)(tx.recipe.arguments["inner"], 8.0),
}


@pytest.mark.parametrize("nest", list(NESTS))
def test_the_scale_is_found_in_any_nest(nest):
    state = NESTS[nest](dynamic_loss_scaling(gradtx.adam(0.1), 8.0)).init(PARAMS)
    assert scale_loss(3.0, state) == 24
    assert jax.jit(scale_loss)(jnp.float32(3), state) == 24


@pytest.mark.parametrize(
    "inner",
    [
        gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1)),
        gradtx.MultiSteps(gradtx.adam(0.1), 2),
        gradtx.inject_hyperparams(gradtx.sgd)(gradtx.linear_schedule(0.1, 0.0, 5), momentum=0.9),
        gradtx.partition({"a": gradtx.lion(0.1), "b": gradtx.sgd(0.1)}, {"w": "a", "b": "b"}),
        gradtx.masked(gradtx.adam(0.1), {"w": True, "b": False}),
    ],
    ids=["chain", "MultiSteps", "inject_hyperparams", "partition", "masked"],
)
def test_steps_that_overflow_are_as_if_they_had_not_been(inner):
    tx = dynamic_loss_scaling(inner, 4.0)
    state, plain = tx.init(PARAMS), inner.init(PARAMS)
    for value in (1.0, jnp.inf, -2.0, jnp.nan, 0.5):
        updates, state = tx.update(like_params(value * state.scale), state, PARAMS)
        expected = like_params(0.0)
        if jnp.isfinite(value):
            expected, plain = jax.jit(inner.update)(like_params(value), plain, PARAMS)
        chex.assert_trees_all_equal(updates, expected)
    chex.assert_trees_all_equal(state.inner_state, plain)
    assert (state.scale, state.total_notfinite) == (1.0, 2)


def test_a_loss_given_to_update_is_the_true_one():
    tx = dynamic_loss_scaling(gradtx.polyak_sgd(max_learning_rate=10.0))
    state = tx.init(PARAMS)
    updates, _ = tx.update(like_params(state.scale), state, PARAMS, value=2.0)
    chex.assert_trees_all_close(updates, like_params(-2.0 / 4), rtol=1e-6)  # value / ‖g‖²
    with pytest.raises(TypeError, match="did you mean 'value'"):
        tx.update(PARAMS, state, PARAMS, valeu=2.0)


def test_each_member_of_a_population_has_its_own_scale():
    tx = dynamic_loss_scaling(gradtx.adam(0.1), 8.0)
    state = jax.vmap(tx.init)(jnp.zeros((2, 4)))
    updates, state = jax.vmap(tx.update)(jnp.stack([FINITE, BAD]), state)
    np.testing.assert_array_equal(state.scale, [8.0, 4.0])
    np.testing.assert_array_equal(jax.vmap(scale_loss)(jnp.ones(2), state), [8.0, 4.0])
    np.testing.assert_array_equal((updates == 0).all(1), [False, True])


def test_it_can_be_tuned_by_injection():
    tx = gradtx.inject_hyperparams(dynamic_loss_scaling)(gradtx.sgd(0.1), growth_interval=1)
    state = tx.init(PARAMS)
    state.hyperparams["growth_factor"] = jnp.float32(3)
    _, state = tx.update(PARAMS, state, PARAMS)
    assert state.inner_state.scale == 3 * 2**16


# --- devices ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check_vma", [True, False])
@pytest.mark.parametrize(
    "wrap",
    [dynamic_loss_scaling, functools.partial(gradtx.apply_if_finite, max_consecutive_errors=3)],
    ids=["dynamic_loss_scaling", "apply_if_finite"],
)
def test_all_devices_leave_out_the_same_steps(wrap, check_vma):
    tx, local = (wrap(gradtx.adam(0.1), axis_name=axis) for axis in ("devices", None))
    mesh = jax.make_mesh((4,), ("devices",), axis_types=(AxisType.Auto,))
    specs = jax.tree.map(lambda x: P("devices") if x.ndim else P(), jax.eval_shape(local.init, FINITE))

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=(P("devices"), specs), out_specs=(P("devices"), specs), check_vma=check_vma)
    def sharded(g, state):
        return tx.update(g, state)

    state = whole = local.init(FINITE)
    for g in (FINITE, BAD, FINITE):
        updates, state = sharded(g, state)
        expected, whole = local.update(g, whole)
        chex.assert_trees_all_close((updates, state), (expected, whole), rtol=1e-6)
    assert state.total_notfinite == 1


def test_no_copy_of_the_gradients_is_made():
    tx = dynamic_loss_scaling(gradtx.adamw(1e-3))
    params = [jax.ShapeDtypeStruct((512, 512), jnp.float32)] * 4
    gradients = [jax.ShapeDtypeStruct((512, 512), jnp.float16)] * 4

    def step(params, state, gradients):
        updates, state = tx.update(gradients, state, params)
        return gradtx.apply_updates(params, updates), state

    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, jax.eval_shape(tx.init, params), gradients).compile()
    analysis = compiled.memory_analysis()
    assert analysis is not None
    assert analysis.temp_size_in_bytes < 1.05 * 4 * 512**2 * 2  # the updates, in float16


# --- the loss -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "expected"), [(jnp.float16, jnp.float32), (jnp.bfloat16, jnp.float32), (jnp.float64, jnp.float64)]
)
def test_the_scaled_loss_has_the_range_of_float32(x64, dtype, expected):
    scaled = scale_loss(jnp.asarray(2.0, dtype), dynamic_loss_scaling(gradtx.sgd(0.1)).init(PARAMS))
    assert scaled == 2.0**17
    assert scaled.dtype == expected


def test_a_state_without_a_scale_or_with_several_is_refused():
    with pytest.raises(ValueError, match="scale_loss needs a state with one DynamicLossScalingState in it, got none"):
        scale_loss(1.0, gradtx.adam(0.1).init(PARAMS))
    scaling = dynamic_loss_scaling(gradtx.adam(0.1))
    with pytest.raises(ValueError, match=r"got 2: \[0\], \[1\]; pass one of them"):
        scale_loss(1.0, gradtx.chain(scaling, scaling).init(PARAMS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"init_scale": 0.0}, "init_scale must be at least 1.17549e-38 and at most 8.50706e.37, got 0"),
        ({"init_scale": -2.0}, "init_scale must be at least"),
        ({"init_scale": jnp.inf}, "init_scale must be at least"),
        ({"growth_factor": 1.0}, "growth_factor must be above 1, got 1"),
        ({"backoff_factor": 1.0}, "backoff_factor must be above 0 and below 1, got 1"),
        ({"backoff_factor": 0.0}, "backoff_factor must be above 0 and below 1, got 0"),
        ({"growth_interval": 0}, "growth_interval must be at least 1"),
        ({"min_scale": 0.0}, "min_scale must be at least"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"dynamic_loss_scaling: {message}"):
        dynamic_loss_scaling(gradtx.sgd(0.1), **arguments)


# --- float16 ----------------------------------------------------------------------------------------------------------

X = jnp.asarray(np.random.default_rng(0).normal(size=(256, 8)), jnp.float32)
Y = jnp.sin(X[:, :4])


def network(dtype):
    w1, w2 = np.random.default_rng(1).normal(size=(2, 8, 32)) / 3
    return {"w1": jnp.asarray(w1, dtype), "w2": jnp.asarray(w2.T[:, :4], dtype)}


def small_loss(params):
    """A term of small weight; its slope in a prediction is 2e-9 times the error, far below half of the least float16."""
    w1, w2 = (params[name].astype(jnp.float16) for name in ("w1", "w2"))
    prediction = jnp.tanh(X.astype(jnp.float16) @ w1) @ w2
    return 1e-6 * jnp.mean((prediction.astype(jnp.float32) - Y) ** 2)


def train(tx, params, objective):
    """The parameters, the state and the losses of 500 steps."""

    def step(carry, _):
        params, state = carry
        g, loss = jax.grad(objective, has_aux=True)(params, state)
        updates, state = tx.update(g, state, params)
        return (gradtx.apply_updates(params, updates), state), loss

    (params, state), losses = jax.jit(lambda carry: jax.lax.scan(step, carry, length=500))((params, tx.init(params)))
    return params, state, losses


def unscaled(params, state):
    loss = small_loss(params)
    return loss, loss


def scaled(params, state):
    loss = small_loss(params)
    return scale_loss(loss, state), loss


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
def test_a_network_in_float16_overflows_recovers_and_learns_what_vanishes_without_scaling(dtype):
    adam = gradtx.adam(1e-2)
    params, _, losses = train(adam, network(dtype), unscaled)
    chex.assert_trees_all_equal(params, network(dtype))
    assert losses[-1] == losses[0]
    params, state, losses = train(dynamic_loss_scaling(adam, 2.0**50, growth_interval=100), network(dtype), scaled)
    chex.assert_tree_all_finite(params)
    assert losses[10] == losses[0]
    assert state.total_notfinite > 10
    assert losses[-1] < 0.05 * losses[0]
