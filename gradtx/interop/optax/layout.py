"""What Optax has where: its public names by module, each of which gradtx has at the top or in a module of the same name."""

import functools
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import gradtx
from gradtx import tree

_HERE = "gradtx.interop.optax"

NAMES = {
    "": """
        adabelief adadelta adafactor adagrad adam adamax adamaxw adamw adan adaptive_grad_clip AdaptiveGradClipState
        add_decayed_weights add_noise AddDecayedWeightsState AddNoiseState amsgrad apply_every apply_if_finite apply_updates
        ApplyEvery ApplyIfFiniteState bias_correction centralize chain clip clip_by_block_rms clip_by_global_norm
        ClipByGlobalNormState ClipState conditionally_mask conditionally_transform ConditionallyMaskState
        ConditionallyTransformState constant_schedule convex_kl_divergence cosine_decay_schedule cosine_distance
        cosine_onecycle_schedule cosine_similarity ctc_loss ctc_loss_with_forward_probs differentially_private_aggregate
        DifferentiallyPrivateAggregateState dpsgd ema EmaState EmptyState exponential_decay FactoredState flatten freeze
        fromage generalized_kl_divergence global_norm GradientTransformation GradientTransformationExtraArgs hinge_loss
        huber_loss identity incremental_update init_empty_state inject_hyperparams inject_stateful_hyperparams
        InjectHyperparamsState InjectStatefulHyperparamsState join_schedules keep_params_nonnegative kl_divergence l2_loss
        lamb lars lbfgs linear_onecycle_schedule linear_schedule lion log_cosh lookahead LookaheadParams LookaheadState masked
        MaskedNode MaskedState MaskOrFn matrix_inverse_pth_root measure_with_ema microbatch monitor MonitorState multi_normal
        multi_transform MultiSteps MultiStepsState MultiTransformState nadam nadamw named_chain nnls noisy_sgd
        NonNegativeParamsState normalize_by_update_norm novograd ntxent optimistic_adam optimistic_adam_v2
        optimistic_gradient_descent OptState Params partition PartitionState per_example_global_norm_clip
        per_example_layer_norm_clip periodic_update piecewise_constant_schedule piecewise_interpolate_schedule polyak_sgd
        polynomial_schedule power_iteration radam rmsprop rprop safe_increment safe_int32_increment safe_norm
        safe_root_mean_squares safe_softmax_cross_entropy ScalarOrSchedule scale scale_by_adadelta scale_by_adam
        scale_by_adamax scale_by_adan scale_by_amsgrad scale_by_backtracking_linesearch scale_by_belief
        scale_by_distance_over_gradients scale_by_factored_rms scale_by_lbfgs scale_by_learning_rate scale_by_lion
        scale_by_novograd scale_by_optimistic_gradient scale_by_param_block_norm scale_by_param_block_rms scale_by_polyak
        scale_by_radam scale_by_rms scale_by_rprop scale_by_rss scale_by_schedule scale_by_sign scale_by_sm3 scale_by_stddev
        scale_by_trust_ratio scale_by_yogi scale_by_zoom_linesearch scale_gradient ScaleByAdaDeltaState ScaleByAdamState
        ScaleByAdanState ScaleByAmsgradState ScaleByBacktrackingLinesearchState ScaleByBeliefState ScaleByLBFGSState
        ScaleByLionState ScaleByNovogradState ScaleByRmsState ScaleByRpropState ScaleByRssState ScaleByRStdDevState
        ScaleByScheduleState ScaleBySM3State ScaleByTrustRatioState ScaleByZoomLinesearchState ScaleState Schedule
        selective_transform set_to_zero sgd sgdr_schedule ShouldSkipUpdateFunction sigmoid_binary_cross_entropy
        sigmoid_focal_loss sign_sgd signum skip_large_updates skip_not_finite sm3 smooth_labels snapshot SnapshotState
        softmax_cross_entropy softmax_cross_entropy_with_integer_labels squared_error stateless stateless_with_tree_map trace
        TraceState TransformInitFn TransformUpdateExtraArgsFn TransformUpdateFn tree_map_params update_infinity_moment
        update_moment update_moment_per_elem_norm Updates value_and_grad_from_state warmup_constant_schedule
        warmup_cosine_decay_schedule warmup_exponential_decay_schedule with_extra_args_support WrappedSchedule yogi zero_nans
        ZeroNansState ZoomLinesearchInfo
    """,
    "assignment": "hungarian_algorithm",
    "contrib": """
        acprop ademamix adopt cocob COCOBState dadapt_adamw DAdaptAdamWState differentially_private_aggregate
        DifferentiallyPrivateAggregateState dog DoGState dowg DoWGState dpsgd galore GaLoreDimensionNumbers GaLoreState
        hutchinson_estimator_diag_hessian HutchinsonState madgrad MadgradState MechanicState mechanize momo momo_adam
        MomoAdamState MomoState muon MuonDimensionNumbers MuonState normalize NormalizeState prodigy ProdigyState
        reduce_on_plateau ReduceLROnPlateauState sam SAMState scale_by_acprop scale_by_ademamix scale_by_adopt scale_by_cocob
        scale_by_galore scale_by_madgrad scale_by_muon scale_by_simplified_ademamix ScaleByAdemamixState
        ScaleBySimplifiedAdEMAMixState schedule_free schedule_free_adamw schedule_free_eval_params schedule_free_sgd
        ScheduleFreeState simplified_ademamix sophia SophiaState split_real_and_imaginary SplitRealAndImaginaryState
    """,
    "experimental.aggregating": """
        accumulate_avg_updates AccumulateAvgUpdatesState add_mean_variance_to_opt Aggregator AggregatorUpdateFn
        average_incrementally_updates average_per_element_updates get_batch_size_from_per_elt_updates
        get_per_element_mean_and_sum_sq_diff_grads get_unbiased_mean_and_variance_ema PerElementMeanAndSumSqDiffGradsState
        PerElementMeanAndVarianceEMAState process track_per_element_mean_and_variance_with_ema
    """,
    "losses": """
        binary_dice_loss convex_kl_divergence cosine_distance cosine_similarity ctc_loss ctc_loss_with_forward_probs dice_loss
        generalized_kl_divergence hinge_loss huber_loss kl_divergence kl_divergence_with_log_targets l2_loss log_cosh
        make_fenchel_young_loss multiclass_generalized_dice_loss multiclass_hinge_loss multiclass_perceptron_loss
        multiclass_sparsemax_loss ntxent perceptron_loss poly_loss_cross_entropy ranking_softmax_loss
        safe_softmax_cross_entropy sigmoid_binary_cross_entropy sigmoid_focal_loss smooth_labels softmax_cross_entropy
        softmax_cross_entropy_with_integer_labels sparsemax_loss squared_error triplet_margin_loss
    """,
    "microbatching": "AccumulationType Accumulator micro_grad micro_vmap microbatch reshape_batch_axis",
    "perturbations": "Gumbel make_perturbed_fun Normal",
    "projections": """
        projection_box projection_halfspace projection_hypercube projection_hyperplane projection_l1_ball projection_l1_sphere
        projection_l2_ball projection_l2_sphere projection_linf_ball projection_non_negative projection_simplex
        projection_vector
    """,
    "schedules": """
        constant_schedule cosine_decay_schedule cosine_onecycle_schedule exponential_decay inject_hyperparams
        inject_stateful_hyperparams InjectHyperparamsState InjectStatefulHyperparamsState join_schedules
        linear_onecycle_schedule linear_schedule piecewise_constant_schedule piecewise_interpolate_schedule
        polynomial_schedule Schedule sgdr_schedule StatefulSchedule warmup_constant_schedule warmup_cosine_decay_schedule
        warmup_exponential_decay_schedule WrappedSchedule
    """,
    "second_order": "fisher_diag hessian_diag hvp",
    "transforms": """
        adaptive_grad_clip add_decayed_weights add_noise AddNoiseState apply_if_finite ApplyIfFiniteState chain clip
        clip_by_block_rms clip_by_global_norm conditionally_mask conditionally_transform ConditionallyMaskState
        ConditionallyTransformState ConditionFn ema EmaState flatten freeze keep_params_nonnegative masked MaskedNode
        MaskedState measure_with_ema monitor MonitorState MultiSteps MultiStepsState named_chain NonNegativeParamsState
        partition PartitionState per_example_global_norm_clip per_example_layer_norm_clip selective_transform
        ShouldSkipUpdateFunction skip_large_updates skip_not_finite snapshot SnapshotState trace TraceState unitwise_clip
        unitwise_norm zero_nans ZeroNansState
    """,
    "tree": """
        add add_scale allclose batch_shape bias_correction cast cast_like clip conj div dtype full_like get get_all_with_path
        map_params max min mul norm ones_like random_like real scale set size split_key_like sub sum unwrap_random_key_data
        update_infinity_moment update_moment update_moment_per_elem_norm vdot where zeros_like
    """,
}

# Names that are spelt otherwise in gradtx, or went out of use in Optax.
OTHERS: dict[str, dict[str, Any]] = {
    "assignment": {"base_hungarian_algorithm": gradtx.assignment.hungarian_algorithm},
    "tree_utils": {
        **{f"tree_{name}": getattr(tree, name) for name in NAMES["tree"].split()},
        "NamedTupleKey": tree.NamedTupleKey,
        "tree_scalar_mul": tree.scale,
        "tree_add_scalar_mul": tree.add_scale,
        "tree_l1_norm": functools.partial(tree.norm, ord=1),
        "tree_l2_norm": tree.norm,
        "tree_linf_norm": functools.partial(tree.norm, ord="inf"),
    },
}


# Modules of gradtx that hold what those of Optax do; all other names are at its top.
HOMES: dict[str, ModuleType] = {
    "assignment": gradtx.assignment,
    "experimental.aggregating": gradtx.aggregating,
    "losses": gradtx.losses,
    "microbatching": gradtx.microbatching,
    "perturbations": gradtx.perturbations,
    "projections": gradtx.projections,
    "schedules": gradtx.schedules,
    "second_order": gradtx.second_order,
    "tree": tree,
}


def contents(module: str) -> dict[str, Any]:
    """Return what a module of Optax has, by name; that of Optax itself is called ""."""
    home = vars(HOMES.get(module, gradtx))
    return {name: home.get(name) or getattr(gradtx, name) for name in NAMES.get(module, "").split()} | OTHERS.get(module, {})


def make_modules() -> dict[str, ModuleType]:
    """Return the modules of Optax, which can be imported from now on, and have no files: those in `optax` itself, by name."""
    made = {name: _module(name) for name in {*NAMES, *OTHERS, "experimental"} - {""}}
    for name, module in made.items():
        parent, _, own_name = name.rpartition(".")
        if parent:
            setattr(made[parent], own_name, module)
    return {name: module for name, module in made.items() if "." not in name}


def _module(name: str) -> ModuleType:
    full_name = f"{_HERE}.{name}"
    module = sys.modules[full_name] = ModuleType(full_name, f"`optax.{name}`, made of gradtx.")
    module.__spec__ = ModuleSpec(full_name, None)
    vars(module).update(contents(name), __getattr__=missing(f"optax.{name}"))
    return module


def missing(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module: it has the private modules of Optax, and an error that says who lacks what."""

    def refuse(name: str) -> Any:
        if name.startswith("_"):
            from gradtx.interop.optax import private

            if private.is_module(name):
                return private
        raise AttributeError(f"gradtx has no {module}.{name}.", name=name)

    return refuse
