"""gradtx: composable gradient transformations for JAX.

Every optimizer is a chain of small pure `(init, update)` pairs; this is the one list of what is public.
"""

__version__ = "0.1.0"

import typing as _typing

from gradtx import (
    aggregating,
    assignment,
    linalg,
    losses,
    microbatching,
    perturbations,
    projections,
    schedules,
    second_order,
    tree,
)
from gradtx.configuration import from_config, to_config
from gradtx.core import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    ScalarOrSchedule,
    Schedule,
    Transformation,
    TransformInitFn,
    TransformUpdateExtraArgsFn,
    TransformUpdateFn,
    Updates,
    chain,
    factory,
    forwards_to,
    identity,
    init_empty_state,
    named_chain,
    set_to_zero,
    stateless,
    stateless_with_tree_map,
    with_extra_args_support,
)
from gradtx.inspection.evaluation import blend_params, eval_params, master_params
from gradtx.inspection.hyperparameters import hyperparams, set_hyperparams
from gradtx.inspection.layouts import abstract_state, state_shardings
from gradtx.inspection.summary import summary
from gradtx.inspection.transfer import reset_state, transfer_state
from gradtx.inspection.transfer_report import TransferReport
from gradtx.linalg import matrix_inverse_pth_root, nnls, power_iteration
from gradtx.losses import (
    convex_kl_divergence,
    cosine_distance,
    cosine_similarity,
    ctc_loss,
    ctc_loss_with_forward_probs,
    generalized_kl_divergence,
    hinge_loss,
    huber_loss,
    kl_divergence,
    l2_loss,
    log_cosh,
    ntxent,
    safe_softmax_cross_entropy,
    sigmoid_binary_cross_entropy,
    sigmoid_focal_loss,
    smooth_labels,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
    squared_error,
)
from gradtx.microbatching import microbatch
from gradtx.minimize import MinimizeResult, MinimizeStatus, minimize
from gradtx.numerics import safe_increment, safe_int32_increment, safe_norm, safe_root_mean_squares
from gradtx.optimizers.acprop import acprop, scale_by_acprop
from gradtx.optimizers.adabelief import ScaleByBeliefState, adabelief, scale_by_belief
from gradtx.optimizers.adabound import adabound, amsbound, scale_by_adabound, scale_by_amsbound
from gradtx.optimizers.adadelta import ScaleByAdaDeltaState, adadelta, scale_by_adadelta
from gradtx.optimizers.adafactor import FactoredState, adafactor, scale_by_factored_rms
from gradtx.optimizers.adagrad import ScaleByRssState, adagrad, scale_by_rss
from gradtx.optimizers.adam import ScaleByAdamState, adam, adamw, scale_by_adam
from gradtx.optimizers.adam_mini import ScaleByAdamMiniState, adam_mini, scale_by_adam_mini
from gradtx.optimizers.adamax import adamax, adamaxw, scale_by_adamax
from gradtx.optimizers.adamuon import adamuon, normalize_by_matrix_rms
from gradtx.optimizers.adan import ScaleByAdanState, adan, scale_by_adan
from gradtx.optimizers.ademamix import (
    ScaleByAdemamixState,
    ScaleBySimplifiedAdEMAMixState,
    ademamix,
    scale_by_ademamix,
    scale_by_simplified_ademamix,
    simplified_ademamix,
)
from gradtx.optimizers.adopt import adopt, scale_by_adopt
from gradtx.optimizers.amsgrad import ScaleByAmsgradState, amsgrad, scale_by_amsgrad
from gradtx.optimizers.apollo import apollo, apollo_mini
from gradtx.optimizers.came import ScaleByCameState, came, scale_by_came
from gradtx.optimizers.cocob import COCOBState, cocob, scale_by_cocob
from gradtx.optimizers.dadapt import DAdaptAdamWState, dadapt_adamw
from gradtx.optimizers.dion import DionState, dion, scale_by_dion
from gradtx.optimizers.distance_over_gradients import ScaleByDistanceOverGradientsState, scale_by_distance_over_gradients
from gradtx.optimizers.dog import DoGState, DoWGState, dog, dowg, scale_by_dog, scale_by_dowg
from gradtx.optimizers.dpsgd import (
    DifferentiallyPrivateAggregateState,
    differentially_private_aggregate,
    dpsgd,
    per_example_global_norm_clip,
    per_example_layer_norm_clip,
)
from gradtx.optimizers.fira import fira
from gradtx.optimizers.fromage import fromage
from gradtx.optimizers.ftrl import ScaleByFtrlState, ftrl, scale_by_ftrl
from gradtx.optimizers.galore import galore, scale_by_galore
from gradtx.optimizers.hyperball import adamh, muonh
from gradtx.optimizers.kron import ScaleByKronState, kron, scale_by_kron
from gradtx.optimizers.lamb import lamb
from gradtx.optimizers.laprop import laprop
from gradtx.optimizers.lars import lars
from gradtx.optimizers.lbfgs import ScaleByLBFGSState, lbfgs, scale_by_lbfgs
from gradtx.optimizers.lion import ScaleByLionState, lion, scale_by_lion
from gradtx.optimizers.madgrad import MadgradState, madgrad, scale_by_madgrad
from gradtx.optimizers.mars import CorrectByLastGradientState, correct_by_last_gradient, mars_adamw, mars_lion
from gradtx.optimizers.momo import MomoAdamState, MomoState, momo, momo_adam
from gradtx.optimizers.muon import MuonDimensionNumbers, MuonState, muon, scale_by_matrix_shape, scale_by_muon
from gradtx.optimizers.nadam import ScaleByNadamState, nadam, nadamw, scale_by_nadam
from gradtx.optimizers.normuon import ScaleByRowRmsState, normuon, scale_by_row_rms
from gradtx.optimizers.novograd import ScaleByNovogradState, novograd, scale_by_novograd
from gradtx.optimizers.optimistic_gradient import (
    ScaleByOptimisticGradientState,
    optimistic_adam,
    optimistic_adam_v2,
    optimistic_gradient_descent,
    scale_by_optimistic_gradient,
)
from gradtx.optimizers.polyak import polyak_sgd, scale_by_polyak
from gradtx.optimizers.primal_averaging import PrimalAveragedState, primal_averaged
from gradtx.optimizers.prodigy import ProdigyState, prodigy
from gradtx.optimizers.radam import radam, scale_by_radam
from gradtx.optimizers.rmsprop import (
    ScaleByRmsState,
    ScaleByRmsWithCountState,
    ScaleByRStdDevState,
    ScaleByRStdDevWithCountState,
    rmsprop,
    scale_by_rms,
    scale_by_stddev,
)
from gradtx.optimizers.rprop import ScaleByRpropState, rprop, scale_by_rprop
from gradtx.optimizers.schedule_free import (
    ScheduleFreeState,
    schedule_free,
    schedule_free_adamw,
    schedule_free_eval_params,
    schedule_free_radam,
    schedule_free_sgd,
)
from gradtx.optimizers.scion import scale_by_lmo, scion
from gradtx.optimizers.sgd import noisy_sgd, sgd
from gradtx.optimizers.shampoo import distributed_shampoo
from gradtx.optimizers.sign_sgd import scale_by_sign, sign_sgd, signum
from gradtx.optimizers.sm3 import ScaleBySM3State, scale_by_sm3, sm3
from gradtx.optimizers.soap import kl_soap, soap
from gradtx.optimizers.sophia import HutchinsonState, SophiaState, hutchinson_estimator_diag_hessian, scale_by_sophia, sophia
from gradtx.optimizers.splus import scale_by_side_lengths, splus
from gradtx.optimizers.stable_adam import scale_by_stable_adam, stable_adamw
from gradtx.optimizers.yogi import scale_by_yogi, yogi
from gradtx.perturbations import multi_normal
from gradtx.schedules import (
    ademamix_decay_schedule,
    ademamix_weight_schedule,
    constant_schedule,
    corrected_weight_decay_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    join_schedules,
    linear_onecycle_schedule,
    linear_schedule,
    multi_step_decay_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    power_cooldown_schedule,
    sgdr_schedule,
    step_decay_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
    warmup_stable_decay_schedule,
)
from gradtx.schedules.scaled import scaled_schedule
from gradtx.transforms.apply_every import ApplyEvery, apply_every
from gradtx.transforms.backtracking_linesearch import (
    BacktrackingLinesearchInfo,
    ScaleByBacktrackingLinesearchState,
    scale_by_backtracking_linesearch,
)
from gradtx.transforms.clipping import (
    AdaptiveGradClipState,
    ClipByGlobalNormState,
    ClipState,
    adaptive_grad_clip,
    clip,
    clip_by_block_norm,
    clip_by_block_rms,
    clip_by_global_norm,
    unitwise_clip,
    unitwise_norm,
)
from gradtx.transforms.constraining import (
    NonNegativeParamsState,
    NormalizeState,
    ZeroNansState,
    centralize,
    keep_params_nonnegative,
    normalize,
    normalize_by_update_norm,
    zero_nans,
)
from gradtx.transforms.decay_after_step import decay_after_step
from gradtx.transforms.decay_to_initial import DecayToInitialState, decay_to_initial
from gradtx.transforms.layerwise import scale_by_layer_decay
from gradtx.transforms.linesearch import value_and_grad_from_state
from gradtx.transforms.momentum import EmaState, TraceState, TraceWithCountState, WeightedEmaState, ema, trace, weighted_ema
from gradtx.transforms.monitoring import MonitorState, SnapshotState, measure_with_ema, monitor, snapshot
from gradtx.transforms.noise import AddNoiseState, add_noise
from gradtx.transforms.norms_of_parameters import KeepNormState, floor_update_ratio, keep_norm
from gradtx.transforms.param_block import scale_by_param_block_norm, scale_by_param_block_rms
from gradtx.transforms.plateau import ReduceLROnPlateauState, reduce_on_plateau
from gradtx.transforms.scale import ScaleByScheduleState, ScaleState, scale, scale_by_learning_rate, scale_by_schedule
from gradtx.transforms.slow_gradients import AmplifySlowGradientsState, amplify_slow_gradients
from gradtx.transforms.trust_ratio import ScaleByTrustRatioState, scale_by_trust_ratio
from gradtx.transforms.weight_decay import AddDecayedWeightsState, WeightDecaySchedule, add_decayed_weights
from gradtx.transforms.zoom_linesearch import ScaleByZoomLinesearchState, ZoomLinesearchInfo, scale_by_zoom_linesearch
from gradtx.tree import (
    MaskedNode,
    bias_correction,
    global_norm,
    update_infinity_moment,
    update_moment,
    update_moment_per_elem_norm,
)
from gradtx.tree import map_params as tree_map_params
from gradtx.tree.gradient import scale_gradient
from gradtx.tree.masks import Mask as MaskOrFn
from gradtx.tree.masks import MaskedState
from gradtx.tree.quantized import Quantized
from gradtx.tuning.find_learning_rate import find_learning_rate
from gradtx.tuning.learning_rates import LearningRates
from gradtx.update import apply_updates, incremental_update, periodic_update
from gradtx.watching.diagnose import diagnose
from gradtx.watching.diagnosis import Diagnosis
from gradtx.watching.history import History, history
from gradtx.watching.parameter_groups import top_level_groups
from gradtx.watching.plot_history import plot_history
from gradtx.watching.recorded import RecordedState, recorded
from gradtx.wrappers.adjustable import AdjustableState, OverrideState, adjustable
from gradtx.wrappers.apply_if_finite import ApplyIfFiniteState, apply_if_finite
from gradtx.wrappers.cautious import CautiousState, cautious
from gradtx.wrappers.compensated import CompensatedState, compensated
from gradtx.wrappers.conditionally import (
    ConditionallyMaskState,
    ConditionallyTransformState,
    ConditionFn,
    conditionally_mask,
    conditionally_transform,
)
from gradtx.wrappers.consecutive import consecutive
from gradtx.wrappers.ema_nesterov import EmaNesterovState, ema_nesterov
from gradtx.wrappers.flatten import flatten
from gradtx.wrappers.freeze import freeze, selective_transform
from gradtx.wrappers.gradient_rms import ScaleByGradientRmsState, scale_by_gradient_rms
from gradtx.wrappers.gradient_signs import ScaleByGradientSignsState, scale_by_gradient_signs
from gradtx.wrappers.grafted import GraftedState, grafted
from gradtx.wrappers.grouped import Group, grouped
from gradtx.wrappers.in_eigenbasis import InEigenbasisState, in_eigenbasis
from gradtx.wrappers.inject_hyperparams import (
    InjectHyperparamsState,
    InjectStatefulHyperparamsState,
    StatefulSchedule,
    WrappedSchedule,
    WrappedScheduleState,
    inject_hyperparams,
    inject_stateful_hyperparams,
)
from gradtx.wrappers.look_sam import LookSAMState, look_sam
from gradtx.wrappers.lookahead import LookaheadParams, LookaheadState, lookahead
from gradtx.wrappers.loss_scaling import DynamicLossScalingState, dynamic_loss_scaling, scale_loss
from gradtx.wrappers.low_rank import GaLoreState, low_rank
from gradtx.wrappers.low_rank_norms import ScaleByLowRankNormsState, scale_by_low_rank_norms
from gradtx.wrappers.low_rank_residual import LowRankWithResidualState, low_rank_with_residual
from gradtx.wrappers.masked import masked, matching, not_matching
from gradtx.wrappers.mechanize import MechanicState, mechanize
from gradtx.wrappers.multi_steps import (
    MultiSteps,
    MultiStepsState,
    ShouldSkipUpdateFunction,
    skip_large_updates,
    skip_not_finite,
)
from gradtx.wrappers.offloaded import offloaded
from gradtx.wrappers.partition import MultiTransformState, PartitionState, multi_transform, partition
from gradtx.wrappers.per_shard import per_shard
from gradtx.wrappers.quantized import QuantizedState, quantized
from gradtx.wrappers.sam import SAMState, sam
from gradtx.wrappers.shampoo import ScaleByShampooState, scale_by_shampoo
from gradtx.wrappers.sharded import sharded
from gradtx.wrappers.skip_spikes import SkipSpikesState, skip_spikes
from gradtx.wrappers.split_real_and_imaginary import SplitRealAndImaginaryState, split_real_and_imaginary
from gradtx.wrappers.stacked import stacked
from gradtx.wrappers.stochastically_rounded import StochasticallyRoundedState, stochastically_rounded
from gradtx.wrappers.stored import stored
from gradtx.wrappers.subspaces import GaLoreDimensionNumbers
from gradtx.wrappers.weight_averaging import (
    AveragedState,
    averaged,
    exponentially_averaged,
    polyak_averaged,
    stochastic_weight_averaged,
)

# fmt: off
__all__ = [
    "AdaptiveGradClipState", "AddDecayedWeightsState", "AddNoiseState", "AdjustableState", "AmplifySlowGradientsState",
    "ApplyEvery", "ApplyIfFiniteState", "AveragedState", "BacktrackingLinesearchInfo", "COCOBState", "CautiousState",
    "ClipByGlobalNormState", "ClipState", "CompensatedState", "ConditionFn", "ConditionallyMaskState",
    "ConditionallyTransformState", "CorrectByLastGradientState", "DAdaptAdamWState", "DecayToInitialState", "Diagnosis",
    "DifferentiallyPrivateAggregateState", "DionState", "DoGState", "DoWGState", "DynamicLossScalingState",
    "EmaNesterovState", "EmaState", "EmptyState", "FactoredState", "GaLoreDimensionNumbers", "GaLoreState",
    "GradientTransformation", "GradientTransformationExtraArgs", "GraftedState", "Group", "History", "HutchinsonState",
    "InEigenbasisState", "InjectHyperparamsState", "InjectStatefulHyperparamsState", "KeepNormState", "LearningRates",
    "LookSAMState", "LookaheadParams", "LookaheadState", "LowRankWithResidualState", "MadgradState", "MaskOrFn",
    "MaskedNode", "MaskedState", "MechanicState", "MinimizeResult", "MinimizeStatus", "MomoAdamState", "MomoState",
    "MonitorState", "MultiSteps", "MultiStepsState", "MultiTransformState", "MuonDimensionNumbers", "MuonState",
    "NonNegativeParamsState", "NormalizeState", "OptState", "OverrideState", "Params", "PartitionState",
    "PrimalAveragedState", "ProdigyState", "Quantized", "QuantizedState", "RecordedState", "ReduceLROnPlateauState",
    "SAMState", "ScalarOrSchedule", "ScaleByAdaDeltaState", "ScaleByAdamMiniState", "ScaleByAdamState", "ScaleByAdanState",
    "ScaleByAdemamixState", "ScaleByAmsgradState", "ScaleByBacktrackingLinesearchState", "ScaleByBeliefState",
    "ScaleByCameState", "ScaleByDistanceOverGradientsState", "ScaleByFtrlState", "ScaleByGradientRmsState",
    "ScaleByGradientSignsState", "ScaleByKronState", "ScaleByLBFGSState", "ScaleByLionState", "ScaleByLowRankNormsState",
    "ScaleByNadamState", "ScaleByNovogradState", "ScaleByOptimisticGradientState", "ScaleByRStdDevState",
    "ScaleByRStdDevWithCountState", "ScaleByRmsState", "ScaleByRmsWithCountState", "ScaleByRowRmsState",
    "ScaleByRpropState", "ScaleByRssState", "ScaleBySM3State", "ScaleByScheduleState", "ScaleByShampooState",
    "ScaleBySimplifiedAdEMAMixState", "ScaleByTrustRatioState", "ScaleByZoomLinesearchState", "ScaleState", "Schedule",
    "ScheduleFreeState", "ShouldSkipUpdateFunction", "SkipSpikesState", "SnapshotState", "SophiaState",
    "SplitRealAndImaginaryState", "StatefulSchedule", "StochasticallyRoundedState", "TraceState", "TraceWithCountState",
    "TransferReport", "TransformInitFn", "TransformUpdateExtraArgsFn", "TransformUpdateFn", "Transformation", "Updates",
    "WeightDecaySchedule", "WeightedEmaState", "WrappedSchedule", "WrappedScheduleState", "ZeroNansState",
    "ZoomLinesearchInfo", "abstract_state", "acprop", "adabelief", "adabound", "adadelta", "adafactor", "adagrad", "adam",
    "adam_mini", "adamax", "adamaxw", "adamh", "adamuon", "adamw", "adan", "adaptive_grad_clip", "add_decayed_weights",
    "add_noise", "ademamix", "ademamix_decay_schedule", "ademamix_weight_schedule", "adjustable", "adopt", "aggregating",
    "amplify_slow_gradients", "amsbound", "amsgrad", "apollo", "apollo_mini", "apply_every", "apply_if_finite",
    "apply_updates", "assignment", "averaged", "bias_correction", "blend_params", "came", "cautious", "centralize", "chain",
    "clip", "clip_by_block_norm", "clip_by_block_rms", "clip_by_global_norm", "cocob", "compensated", "conditionally_mask",
    "conditionally_transform", "consecutive", "constant_schedule", "convex_kl_divergence", "correct_by_last_gradient",
    "corrected_weight_decay_schedule", "cosine_decay_schedule", "cosine_distance", "cosine_onecycle_schedule",
    "cosine_similarity", "ctc_loss", "ctc_loss_with_forward_probs", "dadapt_adamw", "decay_after_step", "decay_to_initial",
    "diagnose", "differentially_private_aggregate", "dion", "distributed_shampoo", "dog", "dowg", "dpsgd",
    "dynamic_loss_scaling", "ema", "ema_nesterov", "eval_params", "exponential_decay", "exponentially_averaged", "factory",
    "find_learning_rate", "fira", "flatten", "floor_update_ratio", "forwards_to", "freeze", "from_config", "fromage",
    "ftrl", "galore", "generalized_kl_divergence", "global_norm", "grafted", "grouped", "hinge_loss", "history",
    "huber_loss", "hutchinson_estimator_diag_hessian", "hyperparams", "identity", "in_eigenbasis", "incremental_update",
    "init_empty_state", "inject_hyperparams", "inject_stateful_hyperparams", "join_schedules", "keep_norm",
    "keep_params_nonnegative", "kl_divergence", "kl_soap", "kron", "l2_loss", "lamb", "laprop", "lars", "lbfgs", "linalg",
    "linear_onecycle_schedule", "linear_schedule", "lion", "log_cosh", "look_sam", "lookahead", "losses", "low_rank",
    "low_rank_with_residual", "madgrad", "mars_adamw", "mars_lion", "masked", "master_params", "matching",
    "matrix_inverse_pth_root", "measure_with_ema", "mechanize", "microbatch", "microbatching", "minimize", "momo",
    "momo_adam", "monitor", "multi_normal", "multi_step_decay_schedule", "multi_transform", "muon", "muonh", "nadam",
    "nadamw", "named_chain", "nnls", "noisy_sgd", "normalize", "normalize_by_matrix_rms", "normalize_by_update_norm",
    "normuon", "not_matching", "novograd", "ntxent", "offloaded", "optimistic_adam", "optimistic_adam_v2",
    "optimistic_gradient_descent", "partition", "per_example_global_norm_clip", "per_example_layer_norm_clip", "per_shard",
    "periodic_update", "perturbations", "piecewise_constant_schedule", "piecewise_interpolate_schedule", "plot_history",
    "polyak_averaged", "polyak_sgd", "polynomial_schedule", "power_cooldown_schedule", "power_iteration", "primal_averaged",
    "prodigy", "projections", "quantized", "radam", "recorded", "reduce_on_plateau", "reset_state", "rmsprop", "rprop",
    "safe_increment", "safe_int32_increment", "safe_norm", "safe_root_mean_squares", "safe_softmax_cross_entropy", "sam",
    "scale", "scale_by_acprop", "scale_by_adabound", "scale_by_adadelta", "scale_by_adam", "scale_by_adam_mini",
    "scale_by_adamax", "scale_by_adan", "scale_by_ademamix", "scale_by_adopt", "scale_by_amsbound", "scale_by_amsgrad",
    "scale_by_backtracking_linesearch", "scale_by_belief", "scale_by_came", "scale_by_cocob", "scale_by_dion",
    "scale_by_distance_over_gradients", "scale_by_dog", "scale_by_dowg", "scale_by_factored_rms", "scale_by_ftrl",
    "scale_by_galore", "scale_by_gradient_rms", "scale_by_gradient_signs", "scale_by_kron", "scale_by_layer_decay",
    "scale_by_lbfgs", "scale_by_learning_rate", "scale_by_lion", "scale_by_lmo", "scale_by_low_rank_norms",
    "scale_by_madgrad", "scale_by_matrix_shape", "scale_by_muon", "scale_by_nadam", "scale_by_novograd",
    "scale_by_optimistic_gradient", "scale_by_param_block_norm", "scale_by_param_block_rms", "scale_by_polyak",
    "scale_by_radam", "scale_by_rms", "scale_by_row_rms", "scale_by_rprop", "scale_by_rss", "scale_by_schedule",
    "scale_by_shampoo", "scale_by_side_lengths", "scale_by_sign", "scale_by_simplified_ademamix", "scale_by_sm3",
    "scale_by_sophia", "scale_by_stable_adam", "scale_by_stddev", "scale_by_trust_ratio", "scale_by_yogi",
    "scale_by_zoom_linesearch", "scale_gradient", "scale_loss", "scaled_schedule", "schedule_free", "schedule_free_adamw",
    "schedule_free_eval_params", "schedule_free_radam", "schedule_free_sgd", "schedules", "scion", "second_order",
    "selective_transform", "set_hyperparams", "set_to_zero", "sgd", "sgdr_schedule", "sharded",
    "sigmoid_binary_cross_entropy", "sigmoid_focal_loss", "sign_sgd", "signum", "simplified_ademamix", "skip_large_updates",
    "skip_not_finite", "skip_spikes", "sm3", "smooth_labels", "snapshot", "soap", "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels", "sophia", "split_real_and_imaginary", "splus", "squared_error",
    "stable_adamw", "stacked", "state_shardings", "stateless", "stateless_with_tree_map", "step_decay_schedule",
    "stochastic_weight_averaged", "stochastically_rounded", "stored", "summary", "to_config", "top_level_groups", "trace",
    "transfer_state", "tree", "tree_map_params", "unitwise_clip", "unitwise_norm", "update_infinity_moment",
    "update_moment", "update_moment_per_elem_norm", "value_and_grad_from_state", "warmup_constant_schedule",
    "warmup_cosine_decay_schedule", "warmup_exponential_decay_schedule", "warmup_stable_decay_schedule", "weighted_ema",
    "with_extra_args_support", "yogi", "zero_nans",
]
# fmt: on

if _typing.TYPE_CHECKING:
    from gradtx import interop as interop
    from gradtx import recipes as recipes
    from gradtx import testing as testing
else:  # a type checker would take any name for one of gradtx
    from gradtx import lazy as _lazy

    _PARTS = ("interop", "recipes", "testing")

    def __getattr__(name: str) -> _typing.Any:
        return _lazy.attribute(__name__, name, _PARTS)

    def __dir__() -> list[str]:
        return _lazy.names(__name__, _PARTS)
