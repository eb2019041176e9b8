"""The laws of a gradient transformation, and a check that one keeps them.

    from gradtx import testing

    testing.check_transformation(my_transformation(), params)

Needs chex: `pip install gradtx[testing]`.
"""

try:
    import chex as _chex  # noqa: F401  # pyright: ignore[reportUnusedImport]
except ImportError as error:
    raise ImportError("gradtx.testing needs chex: pip install 'gradtx[testing]'.") from error

from gradtx.testing.arguments import misspelt_extra_arguments_are_named as misspelt_extra_arguments_are_named
from gradtx.testing.arguments import protocol_extra_arguments_pass as protocol_extra_arguments_pass
from gradtx.testing.arguments import unknown_extra_arguments_are_ignored as unknown_extra_arguments_are_ignored
from gradtx.testing.buffers import fresh_state_and_params_can_be_donated as fresh_state_and_params_can_be_donated
from gradtx.testing.check import check_transformation as check_transformation
from gradtx.testing.collectives import Collective as Collective
from gradtx.testing.collectives import collectives as collectives
from gradtx.testing.dtypes import counters_are_int32_scalars as counters_are_int32_scalars
from gradtx.testing.dtypes import init_needs_only_shapes as init_needs_only_shapes
from gradtx.testing.dtypes import state_keeps_its_type as state_keeps_its_type
from gradtx.testing.dtypes import strict_dtype_promotion_is_enough as strict_dtype_promotion_is_enough
from gradtx.testing.dtypes import updates_keep_structure_shape_and_dtype as updates_keep_structure_shape_and_dtype
from gradtx.testing.laws import LAWS as LAWS
from gradtx.testing.laws import law as law
from gradtx.testing.layouts import abstract_state_tells_the_truth as abstract_state_tells_the_truth
from gradtx.testing.layouts import sharding_is_kept as sharding_is_kept
from gradtx.testing.layouts import steps_on_a_mesh_compile_once as steps_on_a_mesh_compile_once
from gradtx.testing.numbers import float32_computes_as_float64_does as float32_computes_as_float64_does
from gradtx.testing.numbers import gradients_through_update_are_finite as gradients_through_update_are_finite
from gradtx.testing.numbers import low_precision_computes_as_float32_does as low_precision_computes_as_float32_does
from gradtx.testing.numbers import nan_is_never_hidden as nan_is_never_hidden
from gradtx.testing.numbers import updates_are_bounded as updates_are_bounded
from gradtx.testing.numbers import (
    zero_tiny_and_huge_gradients_give_finite_updates as zero_tiny_and_huge_gradients_give_finite_updates,
)
from gradtx.testing.samples import sample_params as sample_params
from gradtx.testing.scaling import a_divided_state_gives_the_same_updates as a_divided_state_gives_the_same_updates
from gradtx.testing.scaling import parts_are_updated_as_the_whole_is as parts_are_updated_as_the_whole_is
from gradtx.testing.scaling import (
    stacked_layers_are_updated_as_separate_ones_are as stacked_layers_are_updated_as_separate_ones_are,
)
from gradtx.testing.structure import bystanders_pass as bystanders_pass
from gradtx.testing.structure import empty_trees_pass as empty_trees_pass
from gradtx.testing.structure import (
    flatten_unflatten_and_numpy_round_trip_change_nothing as flatten_unflatten_and_numpy_round_trip_change_nothing,
)
from gradtx.testing.structure import holes_stay_holes as holes_stay_holes
from gradtx.testing.structure import state_is_made_of_plain_containers as state_is_made_of_plain_containers
from gradtx.testing.tracing import jit_changes_nothing_and_traces_once as jit_changes_nothing_and_traces_once
from gradtx.testing.tracing import scan_works as scan_works
from gradtx.testing.tracing import shard_map_works as shard_map_works
from gradtx.testing.tracing import unjitted_update_compiles_once as unjitted_update_compiles_once
from gradtx.testing.tracing import update_is_pure as update_is_pure
from gradtx.testing.tracing import vmap_works as vmap_works
