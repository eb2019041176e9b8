"""The zoo: every public transformation and every schedule once or more, with arguments to try it on.

The first word of a label is the public name. Everything is made on demand, so that a name that is missing from gradtx fails
one test (`test_zoo`) and not the import.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

import gradtx


@dataclass(frozen=True)
class Sample:
    """How to make a transformation, what its `update` requires, and what it need not do (often a law) with the reason."""

    make: Callable[[], Any]
    extra_args: Any = None
    excused: Mapping[str, str] = field(default_factory=dict)
    uncertain: Mapping[str, str] = field(default_factory=dict)  # what it does on some machines only


def halving(step):
    """A schedule that someone wrote without gradtx."""
    return jnp.asarray(0.1, jnp.float32) * jnp.asarray(0.5, jnp.float32) ** step.astype(jnp.float32)


def matrices(params):
    """A mask as a function of the parameters."""
    return jax.tree.map(lambda p: p.ndim == 2, params)


def negated(updates, params):
    """A function for `stateless`."""
    return jax.tree.map(jnp.negative, updates)


def doubled(g, p):
    """A function for `stateless_with_tree_map`."""
    return g + g


def itself(updates):
    """A measurement for `measure_with_ema` that has the shape of updates."""
    return updates


def by_rank(params):
    """Labels for `partition`."""
    return jax.tree.map(lambda p: "matrices" if p.ndim == 2 else "others", params)


def is_matrix(path, leaf):
    """A pattern that is a function."""
    return leaf.ndim == 2


def every_second(step):
    """A condition on the step."""
    return step % 2 == 0


def large(step, *, value=2.0):
    """A condition on an extra argument."""
    return jnp.asarray(value) > 1


@gradtx.factory
def synced(tx):
    """A transformation of `LookaheadParams` as one of parameters, which are both fast and slow."""

    def pair(params):
        return gradtx.LookaheadParams(params, params)

    def update(updates, state, params):
        updates, state = tx.update(updates, state, pair(params))
        return updates.fast, state

    return gradtx.GradientTransformation(lambda params: tx.init(pair(params)), update)


@gradtx.factory
def of_bfloat16(tx):
    """A transformation of bfloat16 parameters as one of any: real ones are rounded, and updates are cast like the gradients."""

    def rounded(params):
        return jax.tree.map(lambda p: p if jnp.iscomplexobj(p) else p.astype(jnp.bfloat16), params)

    def update(updates, state, params, **extra_args):
        new, state = tx.update(updates, state, rounded(params), **extra_args)
        return gradtx.tree.cast_like(new, updates), state

    return gradtx.GradientTransformationExtraArgs(lambda params: tx.init(rounded(params)), update)


def alone(path, leaf):
    """A layout for `sharded`: whole, on a mesh of one device."""
    mesh = jax.make_mesh((1,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    return jax.NamedSharding(mesh, jax.P())


def one_example(updates, params):
    """Gradients as of a batch of one example, which differential privacy takes."""
    return jax.tree.map(lambda g: g[None], updates)


def downhill(params, step):
    """A gradient for `sam`."""
    return params


def objective(params):
    """An objective for `sophia`."""
    return gradtx.tree.sum(jax.tree.map(lambda p: jnp.real(p * jnp.conj(p)), params))


def searched(params):
    """The arguments of a line search for `objective`."""
    value, grad = jax.value_and_grad(objective, allow_int=True)(params)
    return {"value": value, "grad": grad, "value_fn": objective}


INFO = {"state_is_made_of_plain_containers": "Optax calls a part of this state ...Info"}
ROUNDED = {"low_precision_computes_as_float32_does": "rounding decides which of two learning rates is taken"}
SEARCHED = {"updates_are_bounded": "of a step of 1e30 float32 has no value: there the search takes none"}
NOISE = {"float32_computes_as_float64_does": "random numbers of float64 are others"}
PARTS, STACKS, DIVISION = (
    "parts_are_updated_as_the_whole_is",
    "stacked_layers_are_updated_as_separate_ones_are",
    "a_divided_state_gives_the_same_updates",
)
OWN_NOISE = {PARTS: "each part has random numbers of its own", STACKS: "each layer has random numbers of its own"}
OWN_BLOCKS = dict.fromkeys((PARTS, STACKS), "blocks of a few numbers begin elsewhere, and a number alone has no code")
ARBITRARY = {
    "float32_computes_as_float64_does": "eigenvectors of equal eigenvalues, as of statistics of few gradients, are arbitrary",
    DIVISION: "the same: divided among devices, sums are rounded differently",
}
EIGENVECTORS = ARBITRARY | {
    "updates_are_bounded": "after a spike of 1e20 a rotation rounds a mean by more than what its mean square is elsewhere",
}
NULL_SPACE = {
    "float32_computes_as_float64_does": "where statistics of few gradients are 0, rounding is divided by the root of eps"
}
LOCAL = {PARTS: "a search needs the value of all parts, and the sample gives that of one"}
SINGULAR = {"float32_computes_as_float64_does": "singular vectors are rounded as LAPACK has it, by more than a millionth"}
REMOVES = {"nan_is_never_hidden": "it is made to remove it"}
SIGN = {"nan_is_never_hidden": "the sign of an infinite number is known"}
FEW_BITS = {"float32_computes_as_float64_does": "8 bits are not 24, and float64 is not quantized"}
ONE_OF_TWO_CODES = {"low_precision_computes_as_float32_does": "rounding decides which of two codes is taken"}
LOW_BITS = {"counters_are_int32_scalars": "the low bits of a scalar are not a counter"}
FROZEN = {"nan_is_never_hidden": "what is frozen has no gradient"}
DIVIDED = {
    "sharding_is_kept": "it is made to divide the state",
    "shard_map_works": "there a device has no copies to divide",
    **dict.fromkeys((PARTS, DIVISION, "abstract_state_tells_the_truth", "steps_on_a_mesh_compile_once"), "it has another mesh"),
}
LOOP = {"gradients_through_update_are_finite": "a loop of unknown length has no derivative in reverse mode"}


PIECES: dict[str, Sample] = {
    # core
    "identity": Sample(lambda: gradtx.identity()),
    "set_to_zero": Sample(lambda: gradtx.set_to_zero(), excused=REMOVES),
    "stateless": Sample(lambda: gradtx.stateless(negated)),
    "stateless_with_tree_map": Sample(lambda: gradtx.stateless_with_tree_map(doubled)),
    "chain": Sample(lambda: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-2))),
    "chain of nothing": Sample(lambda: gradtx.chain()),
    "named_chain": Sample(lambda: gradtx.named_chain(("momentum", gradtx.trace(0.9)), ("rate", gradtx.scale(-0.1)))),
    # transforms
    "trace": Sample(lambda: gradtx.trace(0.9)),
    "trace with Nesterov": Sample(lambda: gradtx.trace(0.9, nesterov=True)),
    "trace with dampening": Sample(lambda: gradtx.trace(0.9, dampening=0.5)),
    "trace in bfloat16": Sample(lambda: gradtx.trace(0.5, accumulator_dtype=jnp.bfloat16)),
    "ema": Sample(lambda: gradtx.ema(0.9)),
    "ema with an output decay": Sample(lambda: gradtx.ema(0.9, output_decay=0.5)),
    "ema without debias": Sample(lambda: gradtx.ema(0.9, debias=False)),
    "weighted_ema": Sample(lambda: gradtx.weighted_ema(0.9, gradtx.linear_schedule(0.0, 0.1, 3))),
    "scale": Sample(lambda: gradtx.scale(-0.5)),
    "scale_by_schedule": Sample(lambda: gradtx.scale_by_schedule(halving)),
    "scale_by_learning_rate": Sample(lambda: gradtx.scale_by_learning_rate(0.1)),
    "scale_by_learning_rate with a schedule": Sample(lambda: gradtx.scale_by_learning_rate(halving)),
    "scale_by_rss": Sample(lambda: gradtx.scale_by_rss()),
    "scale_by_rss with eps outside": Sample(lambda: gradtx.scale_by_rss(0.0, 1e-10, eps_in_sqrt=False)),
    "scale_by_rss from zero": Sample(lambda: gradtx.scale_by_rss(0.0)),
    "scale_by_rms": Sample(lambda: gradtx.scale_by_rms()),
    "scale_by_rms with bias correction": Sample(lambda: gradtx.scale_by_rms(eps_in_sqrt=False, bias_correction=True)),
    "scale_by_stddev": Sample(lambda: gradtx.scale_by_stddev()),
    "scale_by_stddev with a short memory": Sample(
        lambda: gradtx.scale_by_stddev(0.5, bias_correction=True),
        excused={"float32_computes_as_float64_does": "the deviation of one gradient is 0, and rounding is larger than eps"},
    ),
    "scale_by_adam": Sample(lambda: gradtx.scale_by_adam()),
    "scale_by_adam with Nesterov": Sample(lambda: gradtx.scale_by_adam(mu_dtype=jnp.bfloat16, nesterov=True)),
    "scale_by_stable_adam": Sample(lambda: gradtx.scale_by_stable_adam()),
    "scale_by_stable_adam with weight decay": Sample(
        lambda: gradtx.scale_by_stable_adam(weight_decay=0.1, mask=gradtx.matching(is_matrix))
    ),
    "scale_by_came": Sample(lambda: gradtx.scale_by_came()),
    "scale_by_adam_mini": Sample(lambda: gradtx.scale_by_adam_mini()),
    "scale_by_adam_mini of whole arrays": Sample(lambda: gradtx.scale_by_adam_mini(blocks={"**": "whole"})),
    "scale_by_amsgrad": Sample(lambda: gradtx.scale_by_amsgrad()),
    "scale_by_amsgrad without bias correction": Sample(
        lambda: gradtx.scale_by_amsgrad(bias_correction_mu=False, bias_correction_nu=False)
    ),
    "scale_by_amsgrad of raw squares": Sample(lambda: gradtx.scale_by_amsgrad(max_before_debias=True)),
    "scale_by_amsgrad with all debiased": Sample(lambda: gradtx.scale_by_amsgrad(debias_eps=True)),
    "scale_by_adamax": Sample(lambda: gradtx.scale_by_adamax()),
    "scale_by_adamax with eps outside": Sample(lambda: gradtx.scale_by_adamax(eps_in_max=False)),
    "scale_by_nadam": Sample(lambda: gradtx.scale_by_nadam()),
    "scale_by_radam": Sample(lambda: gradtx.scale_by_radam()),
    "scale_by_radam with Nesterov": Sample(lambda: gradtx.scale_by_radam(nesterov=True)),
    "scale_by_belief": Sample(lambda: gradtx.scale_by_belief()),
    "scale_by_belief with Nesterov": Sample(lambda: gradtx.scale_by_belief(nesterov=True)),
    "scale_by_acprop": Sample(lambda: gradtx.scale_by_acprop()),
    "scale_by_adopt": Sample(
        lambda: gradtx.scale_by_adopt(), excused={"complex parameters": "it clips: complex numbers have no order"}
    ),
    "scale_by_adopt with Nesterov": Sample(lambda: gradtx.scale_by_adopt(nesterov=True, use_clipping=False)),
    "scale_by_ademamix": Sample(lambda: gradtx.scale_by_ademamix()),
    "scale_by_simplified_ademamix": Sample(lambda: gradtx.scale_by_simplified_ademamix()),
    "scale_by_madgrad": Sample(lambda: gradtx.scale_by_madgrad(1e-2)),
    "correct_by_last_gradient": Sample(lambda: gradtx.correct_by_last_gradient()),
    "scale_by_adabound": Sample(lambda: gradtx.scale_by_adabound()),
    "scale_by_amsbound": Sample(lambda: gradtx.scale_by_amsbound()),
    "scale_by_yogi": Sample(lambda: gradtx.scale_by_yogi()),
    "scale_by_lion": Sample(lambda: gradtx.scale_by_lion()),
    "scale_by_lion smooth": Sample(lambda: gradtx.scale_by_lion(mode="smooth")),
    "scale_by_lion refined": Sample(lambda: gradtx.scale_by_lion(mode="refined")),
    "scale_by_lbfgs": Sample(lambda: gradtx.scale_by_lbfgs(3)),
    "scale_by_lbfgs without initial scale": Sample(lambda: gradtx.scale_by_lbfgs(2, scale_init_precond=False)),
    "scale_by_dog": Sample(lambda: gradtx.scale_by_dog()),
    "scale_by_dowg": Sample(lambda: gradtx.scale_by_dowg()),
    "scale_by_cocob": Sample(lambda: gradtx.scale_by_cocob()),
    "decay_after_step": Sample(lambda: gradtx.decay_after_step(0.1, 0.1, matrices, begin=1)),
    "add_decayed_weights": Sample(lambda: gradtx.add_decayed_weights(0.1)),
    "add_decayed_weights of matrices": Sample(lambda: gradtx.add_decayed_weights(0.1, mask=matrices)),
    "add_decayed_weights with a schedule": Sample(
        lambda: gradtx.add_decayed_weights(halving),
        excused={"state_is_made_of_plain_containers": "Optax calls this state WeightDecaySchedule"},
    ),
    "add_decayed_weights cautiously": Sample(lambda: gradtx.add_decayed_weights(0.1, cautious=True)),
    "decay_to_initial": Sample(lambda: gradtx.decay_to_initial(0.1)),
    "decay_to_initial with a schedule": Sample(lambda: gradtx.decay_to_initial(halving)),
    "amplify_slow_gradients": Sample(lambda: gradtx.amplify_slow_gradients()),
    "add_noise": Sample(lambda: gradtx.add_noise(0.01, 0.55, seed=0), excused=NOISE | OWN_NOISE),
    "clip": Sample(lambda: gradtx.clip(0.5), excused=REMOVES | {"complex parameters": "complex numbers have no order"}),
    "clip_by_global_norm": Sample(lambda: gradtx.clip_by_global_norm(1.0)),
    "clip_by_block_norm": Sample(lambda: gradtx.clip_by_block_norm(0.5)),
    "clip_by_block_rms": Sample(lambda: gradtx.clip_by_block_rms(0.5)),
    "adaptive_grad_clip": Sample(lambda: gradtx.adaptive_grad_clip(0.1)),
    "reduce_on_plateau": Sample(lambda: gradtx.reduce_on_plateau(patience=1), extra_args={"value": 1.0}),
    "reduce_on_plateau of a value to be large": Sample(
        lambda: gradtx.reduce_on_plateau(mode="max", cooldown=2, accumulation_size=2), extra_args={"value": 1.0}
    ),
    "hutchinson_estimator_diag_hessian": Sample(
        lambda: gradtx.hutchinson_estimator_diag_hessian(),
        extra_args={"obj_fn": objective},
        excused={"nan_is_never_hidden": "it does not read the gradients"},
    ),
    "scale_by_sign": Sample(lambda: gradtx.scale_by_sign(), excused=SIGN),
    "scale_by_adan": Sample(lambda: gradtx.scale_by_adan()),
    "scale_by_adadelta": Sample(lambda: gradtx.scale_by_adadelta()),
    "scale_by_novograd": Sample(lambda: gradtx.scale_by_novograd()),
    "scale_by_novograd with weight decay": Sample(lambda: gradtx.scale_by_novograd(weight_decay=0.1)),
    "scale_by_ftrl": Sample(lambda: gradtx.scale_by_ftrl(0.1, l1=0.01, l2_shrinkage=0.1)),
    "scale_by_rprop": Sample(lambda: gradtx.scale_by_rprop(0.01), excused=SIGN),
    "scale_by_sm3": Sample(lambda: gradtx.scale_by_sm3()),
    "scale_by_sm3 with decay": Sample(lambda: gradtx.scale_by_sm3(b2=0.9)),
    "scale_by_optimistic_gradient": Sample(lambda: gradtx.scale_by_optimistic_gradient()),
    "scale_by_factored_rms": Sample(lambda: gradtx.scale_by_factored_rms()),
    "scale_by_factored_rms of last axes": Sample(
        lambda: gradtx.scale_by_factored_rms(min_dim_size_to_factor=1, epsilon=0.0, last_axes=True, floor=1e-7)
    ),
    "scale_by_factored_rms of small matrices": Sample(lambda: gradtx.scale_by_factored_rms(min_dim_size_to_factor=2)),
    "scale_by_param_block_norm": Sample(lambda: gradtx.scale_by_param_block_norm()),
    "scale_by_param_block_rms": Sample(lambda: gradtx.scale_by_param_block_rms()),
    "scale_by_layer_decay": Sample(
        lambda: gradtx.scale_by_layer_decay(0.75, [is_matrix, "**"]), excused={STACKS: "paths are others"}
    ),
    "scale_by_trust_ratio": Sample(lambda: gradtx.scale_by_trust_ratio()),
    "keep_norm": Sample(lambda: gradtx.keep_norm()),
    "keep_norm with a brake": Sample(lambda: gradtx.keep_norm(0.5, 0.8)),
    "floor_update_ratio": Sample(lambda: gradtx.floor_update_ratio(0.3)),
    "floor_update_ratio of rows": Sample(lambda: gradtx.masked(gradtx.floor_update_ratio(0.3, axis=0), matrices)),
    "scale_by_distance_over_gradients": Sample(lambda: gradtx.scale_by_distance_over_gradients()),
    "scale_by_polyak": Sample(lambda: gradtx.scale_by_polyak(), extra_args={"value": jnp.asarray(2.0, jnp.float32)}),
    "keep_params_nonnegative": Sample(
        lambda: gradtx.keep_params_nonnegative(), excused=REMOVES | {"complex parameters": "complex numbers have no order"}
    ),
    "centralize": Sample(lambda: gradtx.centralize()),
    "zero_nans": Sample(lambda: gradtx.zero_nans()),
    "normalize_by_update_norm": Sample(lambda: gradtx.normalize_by_update_norm()),
    "normalize": Sample(lambda: gradtx.normalize()),
    "apply_every": Sample(
        lambda: gradtx.apply_every(2), excused={"state_is_made_of_plain_containers": "Optax calls this state ApplyEvery"}
    ),
    "snapshot": Sample(lambda: gradtx.snapshot("norm", gradtx.tree.norm)),
    "monitor": Sample(
        lambda: gradtx.monitor({"norm": gradtx.tree.norm, "mean": gradtx.measure_with_ema(gradtx.tree.norm, 0.9)})
    ),
    "measure_with_ema of the updates themselves": Sample(lambda: gradtx.measure_with_ema(itself, 0.9)),
    "differentially_private_aggregate of one example": Sample(
        lambda: gradtx.chain(gradtx.stateless(one_example), gradtx.differentially_private_aggregate(1.0, 0.1, key=0)),
        excused=NOISE | OWN_NOISE,
    ),
    "scale_by_side_lengths": Sample(lambda: gradtx.scale_by_side_lengths(0.1)),
    "scale_by_matrix_shape": Sample(lambda: gradtx.masked(gradtx.scale_by_matrix_shape(consistent_rms=0.2), matrices)),
    "scale_by_matrix_shape by name": Sample(
        lambda: gradtx.masked(gradtx.scale_by_matrix_shape(shape_factor="scion"), matrices)
    ),
    "scale_by_muon of matrices in bfloat16": Sample(
        lambda: gradtx.masked(
            gradtx.scale_by_muon(ns_steps=2, bias_correction=False, ns_dtype=jnp.bfloat16, eps_as_floor=True), matrices
        )
    ),
    "scale_by_muon of matrices": Sample(lambda: gradtx.masked(gradtx.scale_by_muon(ns_steps=2), matrices)),
    "scale_by_muon of signs": Sample(lambda: gradtx.masked(gradtx.scale_by_muon(ns_steps=2, sign=True), matrices)),
    "scale_by_muon of a preset": Sample(
        lambda: gradtx.masked(gradtx.scale_by_muon("polar_express", bias_correction=False), matrices),
        uncertain=dict.fromkeys(("float32_computes_as_float64_does", DIVISION), "the iterations of matrices lose a digit"),
    ),
    "scale_by_dion of matrices": Sample(
        lambda: gradtx.masked(gradtx.scale_by_dion(1, 0.9, key=1), matrices), excused={STACKS: OWN_NOISE[STACKS]}
    ),
    "normalize_by_matrix_rms": Sample(lambda: gradtx.masked(gradtx.normalize_by_matrix_rms(0.1), matrices)),
    "scale_by_row_rms": Sample(lambda: gradtx.masked(gradtx.scale_by_row_rms(0.9), matrices)),
    "scale_by_row_rms of inputs": Sample(lambda: gradtx.masked(gradtx.scale_by_row_rms(axis=-1, keep_norm=False), matrices)),
    "scale_by_lmo": Sample(lambda: gradtx.scale_by_lmo([(is_matrix, "column"), ("**", ("bias", 2.0))])),
    "scale_by_lmo of matrices": Sample(lambda: gradtx.masked(gradtx.scale_by_lmo("spectral", ns_steps=2), matrices)),
    "scale_by_lmo of signs": Sample(lambda: gradtx.masked(gradtx.scale_by_lmo("sign"), matrices)),
    "scale_by_backtracking_linesearch": Sample(
        lambda: gradtx.scale_by_backtracking_linesearch(3, store_grad=True),
        extra_args=searched,
        excused=INFO | SEARCHED | ROUNDED | LOCAL,
    ),
    "scale_by_backtracking_linesearch without gradient": Sample(
        lambda: gradtx.scale_by_backtracking_linesearch(3), extra_args=searched, excused=INFO | SEARCHED | ROUNDED | LOCAL
    ),
    "scale_by_zoom_linesearch": Sample(
        lambda: gradtx.scale_by_zoom_linesearch(4),
        extra_args=searched,
        excused=INFO | SEARCHED | ROUNDED | LOOP | LOCAL,
        uncertain={"float32_computes_as_float64_does": "what it reports are differences of values"},
    ),
    # wrappers
    "masked": Sample(lambda: gradtx.masked(gradtx.adam(1e-2), matrices)),
    "partition": Sample(
        lambda: gradtx.partition({"matrices": gradtx.adam(1e-2), "others": gradtx.sgd(0.1, momentum=0.9)}, by_rank)
    ),
    "multi_transform": Sample(
        lambda: gradtx.multi_transform({"matrices": gradtx.lion(1e-2), "others": gradtx.sgd(0.1)}, by_rank)
    ),
    "freeze": Sample(lambda: gradtx.freeze(matrices), excused=FROZEN),
    "freeze what matches": Sample(lambda: gradtx.freeze(gradtx.matching(is_matrix)), excused=FROZEN),
    "grouped": Sample(
        lambda: gradtx.grouped(
            gradtx.adamw(1e-2),
            [
                gradtx.Group(is_matrix, gradtx.sgd(halving, momentum=0.9), learning_rate_factor=0.5, name="matrices"),
                gradtx.Group("**", weight_decay=0.1, learning_rate_factor=0.1),
            ],
        )
    ),
    "grouped with some frozen": Sample(
        lambda: gradtx.grouped(gradtx.trace(0.9), [gradtx.Group(is_matrix, frozen=True), gradtx.Group("**")]),
        excused=FROZEN,
    ),
    "selective_transform": Sample(lambda: gradtx.selective_transform(gradtx.adam(1e-2), freeze_mask=matrices), excused=FROZEN),
    "conditionally_transform": Sample(lambda: gradtx.conditionally_transform(gradtx.adam(1e-2), every_second)),
    "conditionally_mask": Sample(lambda: gradtx.conditionally_mask(gradtx.adam(1e-2), every_second)),
    "conditionally_mask by a value": Sample(lambda: gradtx.conditionally_mask(gradtx.adam(1e-2), large, True)),
    "averaged": Sample(lambda: gradtx.averaged(gradtx.adam(1e-2), 0.1, overwrite_every=3)),
    "exponentially_averaged": Sample(lambda: gradtx.exponentially_averaged(gradtx.adam(1e-2), 0.9)),
    "polyak_averaged": Sample(lambda: gradtx.polyak_averaged(gradtx.adam(1e-2), begin=1)),
    "stochastic_weight_averaged": Sample(lambda: gradtx.stochastic_weight_averaged(gradtx.adam(1e-2), 2, begin=1)),
    "consecutive": Sample(lambda: gradtx.consecutive(gradtx.adam(1e-2), gradtx.lamb(1e-2))),
    "lookahead": Sample(lambda: synced(gradtx.lookahead(gradtx.adam(1e-2), 2, 0.5, reset_state=True))),
    "ema_nesterov": Sample(lambda: gradtx.ema_nesterov(gradtx.adam(1e-2), 0.6, 0.8)),
    "ema_nesterov with a schedule": Sample(lambda: gradtx.ema_nesterov(gradtx.sgd(0.1), halving)),
    "flatten": Sample(
        lambda: gradtx.flatten(gradtx.adam(1e-2)), excused={PARTS: "in one vector types do not tell copies from parts"}
    ),
    "split_real_and_imaginary": Sample(lambda: gradtx.split_real_and_imaginary(gradtx.adam(1e-2))),
    "cautious": Sample(lambda: gradtx.cautious(gradtx.scale_by_adam())),
    "cautious with one more": Sample(lambda: gradtx.cautious(gradtx.trace(0.9), count_one_more=True)),
    "scale_by_gradient_signs": Sample(lambda: gradtx.scale_by_gradient_signs(gradtx.scale_by_adam())),
    "apply_if_finite": Sample(lambda: gradtx.apply_if_finite(gradtx.adam(1e-2), 3)),
    "in_eigenbasis": Sample(lambda: gradtx.in_eigenbasis(gradtx.scale_by_adam(0.9, 0.99), every=2), excused=EIGENVECTORS),
    "in_eigenbasis from the coordinates": Sample(
        lambda: gradtx.in_eigenbasis(gradtx.scale_by_lion(), every=2, start="identity", basis="eigh"), excused=ARBITRARY
    ),
    "in_eigenbasis before the step": Sample(
        lambda: gradtx.in_eigenbasis(
            gradtx.scale_by_adam(), every=2, start="identity", basis="eigh", refresh="before", reorder=False
        ),
        excused=EIGENVECTORS,
    ),
    "in_eigenbasis in turns": Sample(
        lambda: gradtx.in_eigenbasis(gradtx.scale_by_adam(0.9, 0.99), every=2, kl=True, stagger=True),
        excused=EIGENVECTORS | {STACKS: "turns are those of leaves, and a stack of layers is one leaf"},
    ),
    "grafted": Sample(lambda: gradtx.grafted(gradtx.trace(0.9), gradtx.scale_by_adam())),
    "grafted from the second step": Sample(lambda: gradtx.grafted(gradtx.scale_by_sign(), gradtx.ema(0.9), begin=1)),
    "scale_by_gradient_rms": Sample(lambda: gradtx.scale_by_gradient_rms(gradtx.ema(0.9))),
    "scale_by_gradient_rms of a sum": Sample(
        lambda: gradtx.scale_by_gradient_rms(gradtx.ema(0.9, output_decay=0.8), 1.0, bias_correction=False)
    ),
    "scale_by_shampoo": Sample(
        lambda: gradtx.scale_by_shampoo(decay=0.9, eps=1e-3),
        excused=NULL_SPACE,
        uncertain=dict.fromkeys((STACKS, DIVISION), "the same: sums are rounded differently there"),
    ),
    "scale_by_shampoo in blocks": Sample(
        lambda: gradtx.scale_by_shampoo(gradtx.ema(0.9), eps=1e-3, start=2, root="newton", max_size=2, stagger=True)
    ),
    "scale_by_kron": Sample(lambda: gradtx.scale_by_kron(key=1), excused=NOISE | OWN_NOISE),
    "scale_by_kron with one diagonal": Sample(
        lambda: gradtx.scale_by_kron(update_probability=0.5, balance_probability=0.5, one_diagonal=True, key=1),
        excused=NOISE | OWN_NOISE,
    ),
    "skip_spikes": Sample(lambda: gradtx.skip_spikes(gradtx.adam(1e-2), window=2, sigmas=1000.0)),
    "recorded": Sample(
        lambda: gradtx.recorded(gradtx.chain(gradtx.clip_by_global_norm(0.1), gradtx.adam(1e-2)), every=2, size=3)
    ),
    "dynamic_loss_scaling": Sample(
        lambda: gradtx.dynamic_loss_scaling(gradtx.adam(1e-2), growth_factor=4.0, growth_interval=2)
    ),
    "compensated": Sample(lambda: of_bfloat16(gradtx.compensated(gradtx.adam(1e-2))), excused=LOW_BITS),
    "compensated by 8 bits": Sample(lambda: of_bfloat16(gradtx.compensated(gradtx.adam(1e-2), low_bits=8)), excused=LOW_BITS),
    "stochastically_rounded": Sample(
        lambda: of_bfloat16(gradtx.stochastically_rounded(gradtx.adam(1e-2), 0)), excused=OWN_NOISE
    ),
    "quantized": Sample(
        lambda: gradtx.quantized(gradtx.adam(1e-2), min_size=1, block_size=2),
        excused=FEW_BITS | OWN_BLOCKS,
        uncertain=ONE_OF_TWO_CODES,
    ),
    "quantized with 4 bits": Sample(
        lambda: gradtx.quantized(gradtx.adam(1e-2), bits=4, min_size=1, block_size=2),
        excused=FEW_BITS,
        uncertain=ONE_OF_TWO_CODES,
    ),
    "quantized dynamically": Sample(
        lambda: gradtx.quantized(gradtx.trace(0.9), code="dynamic", min_size=1, block_size=2),
        excused=FEW_BITS | OWN_BLOCKS,
        uncertain=ONE_OF_TWO_CODES,
    ),
    "stored": Sample(
        lambda: gradtx.stored(gradtx.trace(0.9), jnp.bfloat16), excused={STACKS: "a number alone is not stored in 16 bits"}
    ),
    "offloaded": Sample(lambda: gradtx.offloaded(gradtx.adam(1e-2), min_size=1)),
    "per_shard": Sample(
        lambda: gradtx.per_shard(gradtx.scale_by_trust_ratio(), jax.P()), excused={PARTS: "it is told otherwise"}
    ),
    "stacked": Sample(
        lambda: gradtx.stacked(gradtx.chain(gradtx.scale_by_novograd(), gradtx.scale_by_trust_ratio()), matrices),
        excused={STACKS: "which arrays are matrices is asked of stacks"},
    ),
    "sharded": Sample(lambda: gradtx.sharded(gradtx.adam(1e-2), "devices", layout=alone), excused=DIVIDED),
    "low_rank": Sample(lambda: gradtx.low_rank(gradtx.trace(0.9), 2, 2), uncertain=SINGULAR),
    "low_rank of the short side": Sample(lambda: gradtx.low_rank(gradtx.trace(0.9), 2, 2, side="short"), uncertain=SINGULAR),
    "low_rank_with_residual": Sample(lambda: gradtx.low_rank_with_residual(gradtx.trace(0.9), 2, 2), uncertain=SINGULAR),
    "scale_by_low_rank_norms": Sample(
        lambda: gradtx.scale_by_low_rank_norms(gradtx.scale_by_adam(), 2, 2), excused={STACKS: OWN_NOISE[STACKS]}
    ),
    "scale_by_low_rank_norms of matrices": Sample(
        lambda: gradtx.scale_by_low_rank_norms(gradtx.trace(0.9), 1, 2, 2.0, per="matrix", max_growth=None),
        excused={STACKS: OWN_NOISE[STACKS]},
    ),
    "MultiSteps": Sample(lambda: gradtx.MultiSteps(gradtx.adam(1e-2), 2)),
    "mechanize": Sample(lambda: gradtx.mechanize(gradtx.sgd(halving))),
    "sam": Sample(lambda: gradtx.sam(gradtx.adamw(1e-2), gradtx.sgd(0.05, momentum=0.5))),
    "sam in opaque mode": Sample(
        lambda: gradtx.sam(gradtx.adamw(1e-2), gradtx.sgd(0.05), sync_period=3, opaque_mode=True),
        extra_args={"grad_fn": downhill},
    ),
    "look_sam": Sample(lambda: gradtx.look_sam(gradtx.adamw(1e-2), 0.05, every=2), extra_args={"grad_fn": downhill}),
    "schedule_free": Sample(lambda: gradtx.schedule_free(gradtx.rmsprop(halving), halving)),
    "primal_averaged": Sample(lambda: gradtx.primal_averaged(gradtx.adam(1e-2), shrinkage=1e-3)),
    "primal_averaged with schedules": Sample(lambda: gradtx.primal_averaged(gradtx.sgd(0.1), 1.0, halving, shrinkage=halving)),
    "scale_by_sophia": Sample(
        lambda: gradtx.scale_by_sophia(gradtx.hutchinson_estimator_diag_hessian(), update_interval=2),
        extra_args={"obj_fn": objective},
        excused={"complex parameters": "complex numbers have no order"},
        uncertain={
            "float32_computes_as_float64_does": "the mean, as it is rounded, is divided by a hundredth; clips hide its size"
        },
    ),
    "inject_stateful_hyperparams": Sample(lambda: gradtx.inject_stateful_hyperparams(gradtx.sgd)(0.1, momentum=halving)),
    "adjustable": Sample(
        lambda: gradtx.adjustable(
            gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(halving)),
            {"adamw.b1": gradtx.linear_schedule(0.8, 0.9, 9)},
        ),
    ),
    "inject_hyperparams": Sample(lambda: gradtx.inject_hyperparams(gradtx.adamw)(learning_rate=halving, weight_decay=0.1)),
    # optimizers with rules of their own
    "scale_by_galore": Sample(lambda: gradtx.scale_by_galore(2, 2), uncertain=SINGULAR),
    "muon": Sample(lambda: gradtx.muon(1e-2, ns_steps=2)),
    "muonh of matrices": Sample(
        lambda: gradtx.masked(gradtx.muonh(1e-2, ns_steps=2), matrices),
        uncertain={DIVISION: "the iterations of matrices lose a digit, and the parameters are rounded"},
    ),
    "muon of two presets": Sample(
        lambda: gradtx.muon(halving, "dion", adaptive=True, preconditioning="schatten", consistent_rms=0.2),
        uncertain=dict.fromkeys(("float32_computes_as_float64_does", DIVISION), "the iterations of matrices lose a digit"),
    ),
    "muon of blocks": Sample(lambda: gradtx.muon(1e-2, ns_steps=2, split={"**": 1})),
    "adamuon": Sample(lambda: gradtx.adamuon(1e-2, ns_steps=2, weight_decay=0.1)),
    "normuon": Sample(lambda: gradtx.normuon(1e-2, ns_steps=2, weight_decay=0.1)),
    "dion": Sample(lambda: gradtx.dion(1e-2, 2), excused={STACKS: OWN_NOISE[STACKS]}),
    "momo": Sample(lambda: gradtx.momo(0.5, weight_decay=0.1, adapt_lower_bound=True), extra_args={"value": 2.0}),
    "momo_adam": Sample(lambda: gradtx.momo_adam(halving), extra_args={"value": 2.0}),
    "schedule_free_sgd": Sample(lambda: gradtx.schedule_free_sgd(0.1, weight_decay=0.1)),
    "schedule_free_radam": Sample(lambda: gradtx.schedule_free_radam(1e-2, b2=0.9)),
    "schedule_free_adamw": Sample(lambda: gradtx.schedule_free_adamw(1e-2, warmup_steps=2)),
    "prodigy": Sample(lambda: gradtx.prodigy(weight_decay=0.1, weight_decay_mask=matrices)),
    "dadapt_adamw": Sample(
        lambda: gradtx.dadapt_adamw(weight_decay=0.1),
        excused={
            "zero_tiny_and_huge_gradients_give_finite_updates": "a constant gradient has no end: the steps grow beyond float16"
        },
    ),
}

# Optimizers that are chains of what is above.
CHAINS: dict[str, Sample] = {
    "apollo": Sample(lambda: gradtx.apollo(1e-2, 2, weight_decay=0.1), excused={STACKS: OWN_NOISE[STACKS]}),
    "apollo_mini": Sample(lambda: gradtx.apollo_mini(1e-2), excused={STACKS: OWN_NOISE[STACKS]}),
    "fira": Sample(lambda: gradtx.fira(1e-2, 2, weight_decay=0.1)),
    "galore": Sample(lambda: gradtx.galore(1e-2, 2, scale=0.25, weight_decay=0.1)),
    "sign_sgd": Sample(lambda: gradtx.sign_sgd(0.01)),
    "signum": Sample(lambda: gradtx.signum(0.01)),
    "adan": Sample(lambda: gradtx.adan(1e-2, weight_decay=0.1)),
    "adan with proximal decay": Sample(lambda: gradtx.adan(1e-2, weight_decay=0.1, proximal=True)),
    "adadelta": Sample(lambda: gradtx.adadelta()),
    "novograd": Sample(lambda: gradtx.novograd(1e-2)),
    "ftrl": Sample(lambda: gradtx.ftrl(0.1)),
    "ftrl with a schedule": Sample(lambda: gradtx.ftrl(gradtx.linear_schedule(0.0, 0.1, 10), l1=0.01, beta=1.0)),
    "rprop": Sample(lambda: gradtx.rprop(1e-2)),
    "rprop with a schedule": Sample(lambda: gradtx.rprop(halving)),
    "sm3": Sample(lambda: gradtx.sm3(halving)),
    "optimistic_gradient_descent": Sample(lambda: gradtx.optimistic_gradient_descent(0.1)),
    "optimistic_adam": Sample(lambda: gradtx.optimistic_adam(halving)),
    "optimistic_adam_v2": Sample(lambda: gradtx.optimistic_adam_v2(1e-2)),
    "adafactor": Sample(lambda: gradtx.adafactor(1e-2, min_dim_size_to_factor=2, momentum=0.9)),
    "lamb": Sample(lambda: gradtx.lamb(1e-2)),
    "lars": Sample(lambda: gradtx.lars(1e-2)),
    "adamh": Sample(lambda: gradtx.adamh(1e-2)),
    "scion": Sample(lambda: gradtx.scion(1e-2, [(is_matrix, ("spectral", 2.0)), ("**", "bias")], ns_steps=2)),
    "fromage": Sample(lambda: gradtx.fromage(1e-2)),
    "polyak_sgd": Sample(lambda: gradtx.polyak_sgd(), extra_args={"value": jnp.asarray(2.0, jnp.float32)}),
    "dpsgd of one example": Sample(
        lambda: gradtx.chain(gradtx.stateless(one_example), gradtx.dpsgd(0.1, 1.0, 0.1, key=0, momentum=0.9)),
        excused=OWN_NOISE,
    ),
    "lbfgs": Sample(
        lambda: gradtx.lbfgs(memory_size=3),
        extra_args=searched,
        excused=INFO | LOOP | LOCAL,
        uncertain={STACKS: "it divides by small differences"},
    ),
    "lbfgs without line search": Sample(lambda: gradtx.lbfgs(0.1, memory_size=3, linesearch=None)),
    "sgd": Sample(lambda: gradtx.sgd(0.1)),
    "sgd with momentum": Sample(lambda: gradtx.sgd(halving, momentum=0.9, nesterov=True)),
    "noisy_sgd": Sample(lambda: gradtx.noisy_sgd(0.1, seed=0), excused=OWN_NOISE),
    "adagrad": Sample(lambda: gradtx.adagrad(0.1)),
    "rmsprop": Sample(lambda: gradtx.rmsprop(1e-2)),
    "rmsprop centered with momentum": Sample(lambda: gradtx.rmsprop(1e-2, centered=True, momentum=0.9)),
    "adam": Sample(lambda: gradtx.adam(1e-2)),
    "adamw": Sample(lambda: gradtx.adamw(1e-2)),
    "adamw of matrices with a schedule": Sample(lambda: gradtx.adamw(halving, weight_decay=0.1, mask=matrices)),
    "stable_adamw": Sample(lambda: gradtx.stable_adamw(1e-2)),
    "came": Sample(lambda: gradtx.came(1e-3, weight_decay=0.1)),
    "adam_mini": Sample(lambda: gradtx.adam_mini(1e-2, weight_decay=0.1)),
    "nadam": Sample(lambda: gradtx.nadam(1e-2)),
    "nadamw": Sample(lambda: gradtx.nadamw(1e-2)),
    "amsgrad": Sample(lambda: gradtx.amsgrad(1e-2)),
    "adamax": Sample(lambda: gradtx.adamax(1e-2)),
    "adamaxw": Sample(lambda: gradtx.adamaxw(1e-2)),
    "radam": Sample(lambda: gradtx.radam(1e-2)),
    "adabelief": Sample(lambda: gradtx.adabelief(1e-2)),
    "acprop": Sample(lambda: gradtx.acprop(1e-2)),
    "adopt": Sample(lambda: gradtx.adopt(1e-2), excused={"complex parameters": "it clips: complex numbers have no order"}),
    "adopt with weight decay": Sample(
        lambda: gradtx.adopt(1e-2, use_clipping=False, weight_decay=0.1),
        excused={"state_is_made_of_plain_containers": "Optax calls the state of its decay WeightDecaySchedule"},
    ),
    "adopt with a penalty": Sample(lambda: gradtx.adopt(1e-2, use_clipping=False, weight_decay=0.1, decoupled=False)),
    "ademamix": Sample(lambda: gradtx.ademamix(1e-2, b3=halving, alpha=halving)),
    "simplified_ademamix": Sample(lambda: gradtx.simplified_ademamix(1e-3, alpha=2.0)),
    "laprop": Sample(lambda: gradtx.laprop(gradtx.linear_schedule(0.0, 0.1, 3), weight_decay=0.1)),
    "madgrad": Sample(lambda: gradtx.madgrad(1e-2, weight_decay=0.1)),
    "mars_adamw": Sample(lambda: gradtx.mars_adamw(1e-2, weight_decay=0.1)),
    "mars_lion": Sample(lambda: gradtx.mars_lion(1e-2, weight_decay=0.1)),
    "adabound": Sample(lambda: gradtx.adabound(1e-2)),
    "amsbound": Sample(lambda: gradtx.amsbound(1e-2)),
    "dog": Sample(lambda: gradtx.dog()),
    "dog with a learning rate": Sample(lambda: gradtx.dog(init_step=("learning_rate", 1e-3), weight_decay=0.1)),
    "dowg": Sample(lambda: gradtx.dowg()),
    "cocob": Sample(lambda: gradtx.cocob()),
    "soap": Sample(lambda: gradtx.soap(1e-2, every=2), excused=EIGENVECTORS),
    "kl_soap": Sample(lambda: gradtx.kl_soap(1e-2, every=2), excused=EIGENVECTORS),
    "splus": Sample(lambda: gradtx.splus(1e-2, every=2), excused=EIGENVECTORS),
    "distributed_shampoo": Sample(
        lambda: gradtx.distributed_shampoo(1e-2, b2=0.95, eps=1e-3, weight_decay=0.1, grafting=gradtx.scale_by_adam(), every=2)
    ),
    "distributed_shampoo of KL statistics": Sample(
        lambda: gradtx.distributed_shampoo(
            halving, b2=0.95, b3=0.8, eps=1e-3, weight_decay=0.1, decay_type="corrected", peak_learning_rate=0.1, kl=True
        ),
        excused={"state_is_made_of_plain_containers": "Optax calls the state of a weight decay WeightDecaySchedule"},
    ),
    "kron": Sample(lambda: gradtx.kron(1e-2, weight_decay=0.1, key=1), excused=NOISE | OWN_NOISE),
    "sophia": Sample(
        lambda: gradtx.sophia(1e-2),
        extra_args={"obj_fn": objective},
        excused={"complex parameters": "complex numbers have no order"},
    ),
    "yogi": Sample(lambda: gradtx.yogi(1e-2)),
    "lion": Sample(lambda: gradtx.lion(1e-2)),
}

TRANSFORMATIONS = PIECES | CHAINS

# One sample of each family, for `pytest -m quick`.
QUICK = (
    "chain",
    "scale_by_adam",
    "clip_by_global_norm",
    "add_decayed_weights of matrices",
    "masked",
    "MultiSteps",
    "inject_hyperparams",
    "muon",
    "adamw",
)

MASKS: dict[str, Callable[[], Any]] = {
    "matching": lambda: gradtx.matching("**/bias", ("head/**", is_matrix)),
    "not_matching": lambda: gradtx.not_matching("**/bias"),
}

SCHEDULES: dict[str, Callable[[], Any]] = {
    "constant_schedule": lambda: gradtx.constant_schedule(0.1),
    "linear_schedule": lambda: gradtx.linear_schedule(0.1, 0.0, 10),
    "polynomial_schedule": lambda: gradtx.polynomial_schedule(0.1, 0.0, 2, 10),
    "power_cooldown_schedule": lambda: gradtx.power_cooldown_schedule(0.1, 0.02, 10),
    "ademamix_weight_schedule": lambda: gradtx.ademamix_weight_schedule(5.0, 10),
    "ademamix_decay_schedule": lambda: gradtx.ademamix_decay_schedule(0.9, 0.9999, 10),
    "corrected_weight_decay_schedule": lambda: gradtx.corrected_weight_decay_schedule(
        0.1, gradtx.linear_schedule(0.1, 0.0, 10), 0.1
    ),
    "cosine_decay_schedule": lambda: gradtx.cosine_decay_schedule(0.1, 10),
    "exponential_decay": lambda: gradtx.exponential_decay(0.1, 10, 0.5),
    "piecewise_constant_schedule": lambda: gradtx.piecewise_constant_schedule(0.1, {5: 0.1}),
    "step_decay_schedule": lambda: gradtx.step_decay_schedule(0.1, 5),
    "multi_step_decay_schedule": lambda: gradtx.multi_step_decay_schedule(0.1, [5, 8]),
    "piecewise_interpolate_schedule": lambda: gradtx.piecewise_interpolate_schedule("cosine", 0.1, {5: 0.1}),
    "join_schedules": lambda: gradtx.join_schedules([gradtx.constant_schedule(0.1), halving], [5]),
    "linear_onecycle_schedule": lambda: gradtx.linear_onecycle_schedule(10, 0.1),
    "cosine_onecycle_schedule": lambda: gradtx.cosine_onecycle_schedule(10, 0.1),
    "warmup_constant_schedule": lambda: gradtx.warmup_constant_schedule(0.0, 0.1, 5),
    "warmup_cosine_decay_schedule": lambda: gradtx.warmup_cosine_decay_schedule(0.0, 0.1, 5, 10),
    "warmup_exponential_decay_schedule": lambda: gradtx.warmup_exponential_decay_schedule(0.0, 0.1, 5, 10, 0.5),
    "warmup_stable_decay_schedule": lambda: gradtx.warmup_stable_decay_schedule(0.0, 0.1, 2, 5, 3, shape="1-sqrt"),
    "scaled_schedule": lambda: gradtx.scaled_schedule(halving, 0.1),
    "sgdr_schedule": lambda: gradtx.sgdr_schedule(
        [{"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 2, "decay_steps": 5, "end_value": 0.0}]
    ),
}


def public_name(label: str) -> str:
    """The name in gradtx of what a label describes."""
    return label.split()[0]


def existing(zoo: Mapping[str, Any]) -> list[str]:
    """The labels whose public name gradtx has."""
    return [label for label in zoo if hasattr(gradtx, public_name(label))]


@functools.cache
def transformation(label: str) -> Any:
    """The sample transformation of a label, made once: what one test has compiled serves the next."""
    return TRANSFORMATIONS[label].make()


def extra_args(label: str, params: Any) -> dict[str, Any]:
    """The extra arguments that `update` of a sample requires."""
    required = TRANSFORMATIONS[label].extra_args
    return {**(required(params) if callable(required) else required or {})}  # pyright: ignore[reportGeneralTypeIssues]
