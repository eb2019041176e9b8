"""Grafting (Agarwal et al. 2020): the direction of one optimizer with the size of another's steps."""

from typing import Any, NamedTuple

import jax.numpy as jnp

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
from gradtx.numerics import Count, safe_increment
from gradtx.require import NONNEGATIVE


class GraftedState(NamedTuple):
    """Steps taken, and the states of the two transformations."""

    count: Count
    direction: OptState
    magnitude: OptState


@factory(begin=NONNEGATIVE, eps=NONNEGATIVE)
def grafted(
    direction: Transformation, magnitude: Transformation, *, begin: int = 0, eps: float = 1e-16
) -> GradientTransformationExtraArgs:
    """Grafting: step where one transformation points, as far as another one would go; for each array.

        u = d·‖a‖ / (‖d‖ + eps)        d of `direction`, a of `magnitude`, both of the same gradient

    A learning rate that is known for `magnitude` then fits `direction` too:

        chain(grafted(scale_by_shampoo(), scale_by_adam()), scale_by_learning_rate(1e-3))
        chain(grafted(scale_by_sign(), scale_by_adam()), scale_by_learning_rate(1e-3))

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      direction: a transformation that tells which way.
      magnitude: one that tells how far.
      begin: how many steps there are at first that are all of `magnitude`, while `direction` collects its statistics.
      eps: added to the norm of the direction.

    Raises:
      ValueError: a number is negative.

    References:
      Agarwal et al., Disentangling Adaptive Gradient Methods from Learning Rates, 2020, https://arxiv.org/abs/2002.11803
    """
    direction, magnitude = with_extra_args_support(direction), with_extra_args_support(magnitude)

    @tree.lift
    def rule(d, a, *, taken):
        norm = tree.norm(d) + eps
        # Two factors, each of which is finite: the ratio of the norms may not be.
        of_both = d / jnp.where(norm > 0, norm, 1) * tree.norm(a)
        return jnp.where(taken < begin, a, of_both)

    def init(params: Params) -> GraftedState:
        return GraftedState(jnp.zeros((), jnp.int32), direction.init(params), magnitude.init(params))

    @forwards_to(
        direction,
        magnitude,
        states=lambda state: {"direction": state.direction, "magnitude": state.magnitude},
        changes_updates=True,
    )
    def update(updates: Updates, state: GraftedState, params: Params | None = None, **extra_args: Any):
        directions, direction_state = direction.update(updates, state.direction, params, **extra_args)
        sizes, magnitude_state = magnitude.update(updates, state.magnitude, params, **extra_args)
        count = safe_increment(state.count)
        return rule(directions, sizes, taken=state.count), GraftedState(count, direction_state, magnitude_state)

    return GradientTransformationExtraArgs(init, update)
