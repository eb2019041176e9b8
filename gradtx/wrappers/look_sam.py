"""LookSAM (Liu et al. 2022): sharpness-aware minimization that climbs in a few steps only."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.compiled import compiled, run_if
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    tells,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment
from gradtx.require import AT_LEAST_ONE, NONNEGATIVE
from gradtx.update import apply_updates


class LookSAMState(NamedTuple):
    """Steps taken, the flat direction of the last climb, and the state of the optimizer."""

    count: Count
    flat_direction: Updates
    opt_state: OptState


@factory(rho=NONNEGATIVE, every=AT_LEAST_ONE, alpha=NONNEGATIVE)
def look_sam(
    optimizer: Transformation, rho: float = 0.1, every: int = 10, alpha: float = 0.7
) -> GradientTransformationExtraArgs:
    """LookSAM: SAM whose climb is made every few steps, and what it found is used again in those between.

        every so many steps   gₛ = gradient at p + rho·g/‖g‖
                              v = gₛ − ⟨gₛ, g⟩/‖g‖²·g          the part that leads to flat minima
        the others            gₛ = g + alpha·‖g‖/‖v‖·v
        p ← p + the update of `optimizer` for gₛ

    Norms and products are of all parameters together. A step reads

        grad_fn(params, 0)       the gradient at `params`, of the same batch: close over it

    as `update(updates, state, params, grad_fn=...)`, like `sam(..., opaque_mode=True)`, whose cheaper relative it is: but
    for one step in `every`, a step takes one gradient.

    Args:
      optimizer: takes the steps; it sees the parameters where the climb began.
      rho: the distance that is climbed.
      every: steps from one climb to the next; 1 is SAM.
      alpha: how much of v a step between has, relative to its gradient.

    Raises:
      TypeError: `update` got no `grad_fn`.
      ValueError: a number is out of its range.

    References:
      Liu et al., Towards Efficient and Scalable Sharpness-Aware Minimization, 2022, https://arxiv.org/abs/2203.02714
    """
    optimizer = with_extra_args_support(optimizer)

    def init(params: Params) -> LookSAMState:
        return LookSAMState(jnp.zeros((), jnp.int32), tree.moment_like(params), optimizer.init(params))

    @tells(precise=("flat_direction",), norm_of_all=True)
    @forwards_to(optimizer, states=lambda state: (state.opt_state,))
    @compiled
    def update(updates: Updates, state: LookSAMState, params: Params, *, grad_fn: Callable[..., Updates], **extra_args: Any):
        norm = tree.norm(updates)

        def climbed() -> tuple[Updates, Updates]:
            there = apply_updates(params, _scaled(updates, factor=_quotient(rho, norm)))
            found = tree.map_leaves(lambda g, new: jnp.asarray(new, g.dtype), updates, grad_fn(there, 0))
            along = tree.vdot(_scaled(updates, factor=_quotient(1, norm)), found).real
            return found, _without(found, updates, state.flat_direction, share=_quotient(along, norm))

        def again() -> tuple[Updates, Updates]:
            share = alpha * _quotient(norm, tree.norm(state.flat_direction))
            return _leaning(updates, state.flat_direction, share=share), state.flat_direction

        gradients, flat = run_if(state.count % every == 0, climbed, again)
        new_updates, opt_state = optimizer.update(gradients, state.opt_state, params, **extra_args)
        return new_updates, LookSAMState(safe_increment(state.count), flat, opt_state)

    return GradientTransformationExtraArgs(init, update)


def _quotient(x: Any, norm: jax.Array) -> jax.Array:
    """x / norm, and 0 where there is no direction."""
    return jnp.where(norm > 0, jnp.asarray(x, norm.dtype) / jnp.where(norm > 0, norm, 1), 0)


@tree.lift
def _scaled(g, *, factor):
    return factor * g


@tree.lift(like="flat")
def _without(found, g, flat, *, share):
    return found - share * g


@tree.lift
def _leaning(g, flat, *, share):
    return g + share * flat
