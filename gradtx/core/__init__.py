"""The protocol: a gradient transformation is a pair of pure functions, and an optimizer a chain of them.

    init(params)                              -> state
    update(updates, state, params, **extra)   -> updates, state

A factory is marked with `@factory`. It writes the pair as plain closures, and the signature of its `update` says what it
needs: `params` without a default is required, and every keyword-only argument is an extra argument it reads.
"""

from gradtx.core.compositions import chain as chain
from gradtx.core.compositions import identity as identity
from gradtx.core.compositions import named_chain as named_chain
from gradtx.core.compositions import set_to_zero as set_to_zero
from gradtx.core.compositions import stateless as stateless
from gradtx.core.compositions import stateless_with_tree_map as stateless_with_tree_map
from gradtx.core.contracts import Contract as Contract
from gradtx.core.contracts import at_step as at_step
from gradtx.core.contracts import bound_arguments as bound_arguments
from gradtx.core.contracts import keeps_contract as keeps_contract
from gradtx.core.description import Decay as Decay
from gradtx.core.description import Description as Description
from gradtx.core.description import Part as Part
from gradtx.core.description import as_wide_as_updates_of as as_wide_as_updates_of
from gradtx.core.description import declared_extra_args as declared_extra_args
from gradtx.core.description import describe as describe
from gradtx.core.description import described as described
from gradtx.core.description import description as description
from gradtx.core.description import forwards_to as forwards_to
from gradtx.core.description import if_stepped as if_stepped
from gradtx.core.description import is_transformation as is_transformation
from gradtx.core.description import no_updates as no_updates
from gradtx.core.description import steps_of_groups as steps_of_groups
from gradtx.core.description import supported as supported
from gradtx.core.description import tells as tells
from gradtx.core.description import told_apart as told_apart
from gradtx.core.description import with_extra_args_support as with_extra_args_support
from gradtx.core.extra_args import ANYTHING as ANYTHING
from gradtx.core.extra_args import keywords as keywords
from gradtx.core.extra_args import only as only
from gradtx.core.extra_args import refuse_misspelt as refuse_misspelt
from gradtx.core.factories import factory as factory
from gradtx.core.factories import sealed as sealed
from gradtx.core.programs import init_at_once as init_at_once
from gradtx.core.protocol import PROTOCOL_EXTRA_ARGS as PROTOCOL_EXTRA_ARGS
from gradtx.core.protocol import EmptyState as EmptyState
from gradtx.core.protocol import Function as Function
from gradtx.core.protocol import GradientTransformation as GradientTransformation
from gradtx.core.protocol import GradientTransformationExtraArgs as GradientTransformationExtraArgs
from gradtx.core.protocol import OptState as OptState
from gradtx.core.protocol import Params as Params
from gradtx.core.protocol import Scalar as Scalar
from gradtx.core.protocol import ScalarOrSchedule as ScalarOrSchedule
from gradtx.core.protocol import Schedule as Schedule
from gradtx.core.protocol import Transformation as Transformation
from gradtx.core.protocol import TransformInitFn as TransformInitFn
from gradtx.core.protocol import TransformUpdateExtraArgsFn as TransformUpdateExtraArgsFn
from gradtx.core.protocol import TransformUpdateFn as TransformUpdateFn
from gradtx.core.protocol import Updates as Updates
from gradtx.core.protocol import init_empty_state as init_empty_state
from gradtx.core.schedule_function import ScheduleFunction as ScheduleFunction
