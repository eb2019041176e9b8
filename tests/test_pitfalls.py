"""Defects of other libraries, each with the test that would have caught it.

Others are caught elsewhere, and not repeated here. On the whole zoo, by the laws (`test_laws.py`):

- NaN from zero gradients in float16: `zero_tiny_and_huge_gradients_give_finite_updates`;
- a NaN derivative at a zero gradient: `gradients_through_update_are_finite`;
- a state that changes its dtypes with the gradients': `state_keeps_its_type`;
- a misspelt keyword: `misspelt_extra_arguments_are_named`;
- two leaves in one buffer: `fresh_state_and_params_can_be_donated`;
- calls outside of jit that compile again: `unjitted_update_compiles_once`;
- implicit promotion: `strict_dtype_promotion_is_enough`.

And by the tests of one module:

- optimizers that are not values: `test_values.py`;
- a scheduled hyperparameter that cannot be overridden: `wrappers/test_inject_hyperparams.py`;
- `MultiSteps` that runs its inner transformation in vain, or is not a transformation: `wrappers/test_multi_steps.py`;
- a warm-up of schedule-free learning that is off by one: `oracles/test_schedule_free.py`;
- shards that leave out different steps (`apply_if_finite`): `wrappers/test_loss_scaling.py`;
- an average of schedule-free learning that is not found in a chain: `wrappers/test_schedule_free.py`;
- a plateau of a negative value that is none: `transforms/test_plateau.py`;
- `sam` that refuses `value` in a chain, or does not average over devices: `wrappers/test_sam.py`;
- a proximal weight decay that leaves the step out: `oracles/test_momo.py`;
- trees and shapes that do not match: `test_properties.py`;
- an update that is applied a step late (Rprop), a change of the gradient with the wrong weight (Adan), an ascent (AdaDelta
  without a learning rate): `oracles/test_rules.py`;
- rows of coefficients that are not iterations: `oracles/test_muon.py`;
- everything frozen by a mask that is a function: `wrappers/test_freeze.py`.
"""

import functools
import inspect
import types
import warnings
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from tables import table

import gradtx
from gradtx import testing, tree

LABELS = zoo.existing(zoo.TRANSFORMATIONS)
STORED_IN_BFLOAT16_ON_DEMAND = {"trace in bfloat16", "scale_by_adam with Nesterov", "stored"}
MEASURES_INTEGERS = {"measure_with_ema of the updates themselves"}
TAKES_INTEGERS = {
    "identity",
    "set_to_zero",
    "stateless",
    "stateless_with_tree_map",
    "chain of nothing",
    "add_decayed_weights of matrices",
    "decay_after_step",
    "floor_update_ratio of rows",
    "masked",
    "snapshot",
    "monitor",
    "freeze",
    "freeze what matches",
    "scale_by_matrix_shape",
    "scale_by_matrix_shape by name",
    "muonh of matrices",
    "scale_by_muon of matrices",
    "scale_by_muon of matrices in bfloat16",
    "scale_by_muon of signs",
    "scale_by_dion of matrices",
    "scale_by_lmo of matrices",
    "scale_by_lmo of signs",
    "scale_by_muon of a preset",
    "normalize_by_matrix_rms",
    "scale_by_row_rms",
    "scale_by_row_rms of inputs",
}


def mesh():
    return jax.make_mesh((4,), ("devices",), axis_types=(AxisType.Auto,))


def in_dtype(params, dtype):
    return jax.tree.map(lambda p: p.astype(dtype), params)


def updated(tx, updates, params=None, **extra_args):
    """The updates of the first step."""
    return tx.update(updates, tx.init(updates if params is None else params), params, **extra_args)[0]


# --- low precision ----------------------------------------------------------------------------------------------------


def test_the_second_moment_of_bfloat16_params_rises_and_decays_as_it_should():
    tx = gradtx.adam(1e-3)
    params = jnp.ones(3, jnp.bfloat16)
    steps = 3000

    def step(state, g):
        return tx.update(g, state, params)[1], None

    state, _ = jax.lax.scan(step, tx.init(params), jnp.ones((steps, 3), jnp.bfloat16))
    np.testing.assert_allclose(state[0].nu, 1 - 0.999**steps, rtol=1e-3)
    state, _ = jax.lax.scan(step, state, jnp.zeros((steps, 3), jnp.bfloat16))
    np.testing.assert_allclose(state[0].nu, (1 - 0.999**steps) * 0.999**steps, rtol=1e-3)


@table("label", [label for label in LABELS if label not in STORED_IN_BFLOAT16_ON_DEMAND])
def test_no_state_is_kept_in_less_than_float32_unasked(label):
    params = in_dtype(testing.sample_params(), jnp.bfloat16)
    state = jax.eval_shape(zoo.transformation(label).init, params)
    narrow = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact) and leaf.dtype.itemsize < 4]
    assert not narrow


def test_injected_hyperparameters_of_bfloat16_params_are_not_rounded():
    tx = gradtx.inject_hyperparams(gradtx.adamw)(1e-3)
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    updates, state = tx.update(params, tx.init(params), params)
    assert state.hyperparams["b2"] == jnp.float32(0.999)
    assert state.hyperparams["b2"].dtype == jnp.float32
    assert jnp.isfinite(updates["w"]).all()


@pytest.mark.parametrize("label", LABELS)
def test_a_whole_step_on_bfloat16_params_with_float32_gradients_keeps_every_type(label):
    tx = zoo.transformation(label)
    gradients = testing.sample_params()
    params = in_dtype(gradients, jnp.bfloat16)

    def step(params, state):
        updates, state = tx.update(gradients, state, params, **zoo.extra_args(label, params))
        return gradtx.apply_updates(params, updates), state

    before = (params, jax.eval_shape(tx.init, params))
    chex.assert_trees_all_equal_shapes_and_dtypes(jax.eval_shape(step, *before), before)


def test_clipping_in_float16_keeps_a_norm_whose_square_overflows():
    # 1024 = √(4 · 512²), and the square is beyond the largest number of float16, 65504.
    clipped = updated(gradtx.clip_by_global_norm(1.0), {"w": jnp.full(4, 512, jnp.float16)})
    chex.assert_trees_all_equal(clipped, {"w": jnp.full(4, 0.5, jnp.float16)})


def test_an_integer_moment_is_refused():
    for make in (gradtx.adam, gradtx.adamw, gradtx.nadam, gradtx.lion):
        with pytest.raises(TypeError, match="a moment needs a floating-point dtype, got int8"):
            make(1e-3, mu_dtype="int8")


def test_a_complex_moment_of_real_parameters_is_refused_by_every_factory_that_takes_a_dtype():
    sgd = gradtx.sgd(0.1)
    required = {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "decay": 0.9, "rate": 0.1, "weight": 0.1, "inner": sgd, "every": 2}
    required |= {"base_optimizer": sgd, "opt": sgd, "every_k_schedule": 2, "hessian_diagonal_fn": sgd, "momentum": 0.9}
    required |= {"norm": [("w", "spectral"), ("b", "bias")]}
    real, tested = {"w": jnp.ones((3, 3)), "b": jnp.ones(3)}, 0
    mixed = {"w": jnp.ones((3, 3)), "b": jnp.ones(3, jnp.complex64)}
    for name in dir(gradtx):
        make: Any = getattr(gradtx, name)
        if name == "measure_with_ema" or type(make) not in (types.FunctionType, type):  # its dtype is that of a measurement
            continue
        parameters = inspect.signature(make).parameters
        for dtype in {"mu_dtype", "accumulator_dtype", "state_dtype"} & parameters.keys():
            given = {key: value for key, value in required.items() if key in parameters}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                tx = make(**given, **{dtype: "complex64"})
            with pytest.raises(TypeError, match=r"\w+: a moment of complex64 was asked for, but all parameters are real"):
                jax.eval_shape(tx.init, real)
            if "muon" not in name and "sophia" not in name:
                jax.eval_shape(tx.init, mixed)
            jax.eval_shape(tx.init, {})
            tested += 1
    assert tested > 25


def test_a_moment_may_be_stored_in_float8():
    tx = gradtx.adam(0.1, mu_dtype=jnp.float8_e4m3fn)
    params = jnp.zeros(3)
    state = tx.init(params)
    for _ in range(5):
        updates, state = tx.update(jnp.ones(3), state, params)
        np.testing.assert_allclose(updates, -0.1, rtol=2**-4)  # half a digit of float8_e4m3fn
    assert state[0].mu.dtype == jnp.float8_e4m3fn


# --- numbers at the edges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "clip", [gradtx.clip(1.0), gradtx.clip_by_global_norm(1.0), gradtx.clip_by_block_rms(1.0), gradtx.adaptive_grad_clip(1.0)]
)
def test_clipping_does_not_turn_infinity_into_nan(clip):
    gradients = {"w": jnp.asarray([1.0, jnp.inf, -jnp.inf])}
    assert not jnp.isnan(updated(clip, gradients, gradients)["w"]).any()


def test_clipping_by_the_global_norm_lets_infinity_pass_as_it_is():
    gradients = {"w": jnp.asarray([1.0, jnp.inf]), "b": jnp.ones(2)}
    chex.assert_trees_all_equal(updated(gradtx.clip_by_global_norm(1.0), gradients), gradients)


@pytest.mark.parametrize("clip", [gradtx.clip_by_global_norm, gradtx.clip_by_block_rms, gradtx.adaptive_grad_clip])
@pytest.mark.parametrize("magnitude", [1e20, 1e30])
def test_clipping_keeps_the_direction_of_gradients_whose_square_overflows(clip, magnitude):
    params = {"w": jnp.ones(2)}
    expected = updated(clip(0.5), {"w": jnp.asarray([300.0, -400.0])}, params)
    clipped = updated(clip(0.5), {"w": magnitude * jnp.asarray([3.0, -4.0])}, params)
    chex.assert_trees_all_close(clipped, expected, rtol=1e-6)


@pytest.mark.parametrize("decay", [0.9, 0.95, 0.99, 0.999])
def test_the_variance_of_one_gradient_is_not_below_zero(decay):
    # With bias correction it is g² − g², which rounding takes below zero for one gradient in four.
    gradients = jnp.asarray(np.random.default_rng(0).normal(size=1000), jnp.float32)
    for tx in (
        gradtx.rmsprop(1e-2, decay=decay, centered=True, bias_correction=True),
        gradtx.scale_by_stddev(decay, eps=0.0, eps_in_sqrt=False, bias_correction=True),
    ):
        assert not jnp.isnan(updated(tx, gradients)).any()


# --- memory and devices -----------------------------------------------------------------------------------------------


def temporaries(tx, params):
    """Bytes of temporaries of a compiled step, in units of those of the parameters."""

    def step(params, state, gradients):
        updates, state = tx.update(gradients, state, params)
        return gradtx.apply_updates(params, updates), state

    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, jax.eval_shape(tx.init, params), params).compile()
    analysis = compiled.memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes / sum(4 * p.size for p in params)


def test_clipping_before_an_optimizer_needs_no_copy_of_the_gradients():
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3))
    assert temporaries(tx, [jax.ShapeDtypeStruct((1024, 1024), jnp.float32)] * 4) < 0.05


def test_adafactor_keeps_no_squares():
    # It was an array for each matrix, of which the means of rows and of columns were taken in two scales.
    params = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((256, 1024), (1024, 256)) * 3]
    tx = gradtx.scale_by_factored_rms()
    memory = jax.jit(tx.update).lower(params, jax.eval_shape(tx.init, params)).compile().memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 2**16


@pytest.mark.parametrize("make", [gradtx.adam, gradtx.adagrad, gradtx.rmsprop, gradtx.madgrad, gradtx.yogi, gradtx.nadam])
def test_a_donated_step_keeps_nothing_of_the_size_of_the_parameters(make):
    # A clipped gradient, its square, or the old sums lay beside the new ones.
    assert temporaries(make(1e-3), [jax.ShapeDtypeStruct((256, 1024), jnp.float32)] * 3) < 0.01


def test_lbfgs_needs_no_copy_of_its_memory():
    params = [jax.ShapeDtypeStruct((256, 256), jnp.float32)] * 4
    few, many = (temporaries(gradtx.scale_by_lbfgs(memory_size), params) for memory_size in (2, 12))
    assert many < few + 0.1


def test_within_shard_map_clipping_knows_the_norm_of_the_whole():
    clip = gradtx.clip_by_global_norm(1.0, axis_name="devices")
    gradients = {"w": jnp.arange(8.0), "b": jnp.arange(4.0)}
    sharded = jax.shard_map(lambda g: updated(clip, g), mesh=mesh(), in_specs=P("devices"), out_specs=P("devices"))
    clipped = jax.jit(sharded)(gradients)
    np.testing.assert_allclose(tree.norm(clipped), 1.0, rtol=1e-6)
    chex.assert_trees_all_close(clipped, updated(gradtx.clip_by_global_norm(1.0), gradients), rtol=1e-6)


@pytest.mark.parametrize(
    "label", ["adamw", "lion", "trace", "rmsprop centered with momentum", "inject_hyperparams", "MultiSteps"]
)
def test_a_jitted_init_gives_each_of_several_leaves_of_one_shape_its_own_sharding(label):
    layouts = {"columns": P(None, "devices"), "rows": P("devices"), "whole": P()}
    params = {name: jax.device_put(jnp.ones((4, 4)), NamedSharding(mesh(), layout)) for name, layout in layouts.items()}
    state = jax.jit(zoo.transformation(label).init)(params)
    kept = [(path[-1], leaf) for path, leaf in jax.tree.leaves_with_path(state) if leaf.shape == (4, 4)]
    assert len(kept) >= len(params)
    for key, leaf in kept:
        assert leaf.sharding.is_equivalent_to(params[key.key].sharding, leaf.ndim)


def test_replicated_params_stay_so_though_the_state_is_sharded():
    tx = gradtx.adamw(1e-3)
    params = {"w": jax.device_put(jnp.ones((4, 4)), NamedSharding(mesh(), P()))}
    split = NamedSharding(mesh(), P("devices"))
    state = jax.tree.map(lambda x: jax.device_put(x, split) if x.ndim else x, tx.init(params))

    @jax.jit
    def step(params, state):
        updates, state = tx.update(params, state, params)
        return gradtx.apply_updates(params, updates), state

    params, state = step(params, state)
    assert params["w"].sharding.is_fully_replicated
    assert state[0].mu["w"].sharding.is_equivalent_to(split, 2)


# --- use --------------------------------------------------------------------------------------------------------------


@table("label", [label for label in LABELS if label not in TAKES_INTEGERS | MEASURES_INTEGERS])
def test_an_integer_leaf_is_refused_by_path(label):
    tx = zoo.transformation(label)
    params = {"w": jnp.ones((2, 3)), "steps": jnp.arange(3)}
    with pytest.raises(TypeError, match=r"\['steps'\] has dtype int32"):
        updated(tx, params, params, **zoo.extra_args(label, params))


@pytest.mark.parametrize("label", sorted(TAKES_INTEGERS))
def test_what_takes_an_integer_leaf_does_not_make_a_fraction_of_it(label):
    params = {"w": jnp.ones((2, 3)), "steps": jnp.arange(3)}
    steps = updated(zoo.transformation(label), params, params)["steps"]
    assert steps.dtype == jnp.int32
    assert jnp.array_equal(steps, steps[1] * params["steps"])


@pytest.mark.parametrize("label", [label for label in LABELS if "learning_rate" in zoo.transformation(label).recipe.arguments])
def test_every_learning_rate_takes_a_schedule(label):
    recipe = zoo.transformation(label).recipe
    tx = recipe.factory(**{**recipe.arguments, "learning_rate": gradtx.linear_schedule(0.1, 0.0, 10)})
    params = testing.sample_params()
    state = jax.eval_shape(tx.init, params)
    update = functools.partial(tx.update, **zoo.extra_args(label, params))
    updates, new_state = jax.eval_shape(update, params, state, params)
    chex.assert_trees_all_equal_shapes_and_dtypes((updates, new_state), (params, state))


def test_the_learning_rate_of_a_step_can_be_read():
    tx = gradtx.inject_hyperparams(gradtx.adamw)(gradtx.linear_schedule(0.5, 0.0, 4))
    params = {"w": jnp.ones(3)}
    state = tx.init(params)
    for expected in (0.5, 0.375, 0.25):
        _, state = tx.update(params, state, params)
        assert state.hyperparams["learning_rate"] == expected


TAKE_MORE_THAN_A_RATE = {"decay_after_step", "dpsgd", "muonh", "noisy_sgd", "schedule_free", "scale_by_madgrad", "scion"}
RATED = [label for label in LABELS if "learning_rate" in inspect.signature(getattr(gradtx, zoo.public_name(label))).parameters]


@pytest.mark.parametrize("name", sorted({zoo.public_name(label) for label in RATED} - TAKE_MORE_THAN_A_RATE))
def test_hyperparameters_of_any_optimizer_can_be_injected_under_jit(name):
    tx = gradtx.inject_hyperparams(getattr(gradtx, name))(learning_rate=0.1)
    params = {"w": jnp.ones((3, 4)), "b": jnp.ones(4)}
    label = next(label for label in RATED if zoo.public_name(label) == name)
    state = jax.jit(tx.init)(params)
    updates, _ = tx.update(params, state, params, **zoo.extra_args(label, params))
    chex.assert_tree_all_finite(updates)
