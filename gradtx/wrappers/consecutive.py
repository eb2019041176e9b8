"""Two optimizers, one after the other in each step."""

from typing import Any

from gradtx import tree
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    with_extra_args_support,
)
from gradtx.tree.dtypes import widened
from gradtx.update import apply_updates


@factory
def consecutive(first: Transformation, second: Transformation) -> GradientTransformationExtraArgs:
    """Let one optimizer move the parameters, and then another, from where the first has led.

        u = u₁(g, p) + u₂(g, p + u₁)

    In a `chain` the second would be given what the first makes of the gradient; here both are given the gradient. The state is
    the pair of theirs.

    Args:
      first: an optimizer, whose updates are added to the parameters.
      second: another.
    """
    first, second = with_extra_args_support(first), with_extra_args_support(second)

    # A step may be lost in the dtype of the params, and the second optimizer need not lose it.
    def moved(params: Params, step: Updates) -> Params:
        return apply_updates(tree.map_leaves(widened, params), step)

    def init(params: Params) -> tuple[OptState, OptState]:
        return first.init(params), second.init(params)

    @forwards_to(first, second, states=tuple)
    def update(updates: Updates, state: tuple[OptState, OptState], params: Params, **extra_args: Any):
        first_state, second_state = state
        step, first_state = first.update(updates, first_state, params, **extra_args)
        second_step, second_state = second.update(updates, second_state, moved(params, step), **extra_args)
        return _sum(step, second_step), (first_state, second_state)

    return GradientTransformationExtraArgs(init, update)


@tree.lift
def _sum(u, v):
    return u + v
