"""Lookahead (Zhang et al. 2019)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.compiled import compiled, keep_dtypes
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    if_stepped,
    with_extra_args_support,
)
from gradtx.numerics import Count
from gradtx.require import AT_LEAST_ONE, Range
from gradtx.update import apply_updates


class LookaheadParams(NamedTuple):
    """Two copies of the parameters: gradients are taken at the fast ones, and the slow ones are used in the end."""

    fast: Params
    slow: Params

    @classmethod
    def init_synced(cls, params: Params) -> "LookaheadParams":
        """Start both from `params`, the slow ones in arrays of their own."""
        return cls(params, jax.tree.map(jnp.array, params))


class LookaheadState(NamedTuple):
    """The state of the fast optimizer, and steps since the last sync."""

    fast_state: OptState
    steps_since_sync: Count


@factory(sync_period=AT_LEAST_ONE, slow_step_size=Range(low=0, high=1))
def lookahead(
    fast_optimizer: Transformation, sync_period: int, slow_step_size: float, reset_state: bool = False
) -> GradientTransformationExtraArgs:
    """Lookahead: fast parameters run ahead; every few steps the slow ones move towards them, and they start again from there.

        fast ← fast + u                                          u of `fast_optimizer`
        every `sync_period` steps: slow ← slow + slow_step_size·(fast − slow), fast ← slow

    The parameters are `LookaheadParams`, the gradients those at `params.fast`; `eval_params(state, params)` are the slow ones:

        params = LookaheadParams.init_synced(params)
        updates, state = tx.update(jax.grad(loss)(params.fast), state, params)
        params = apply_updates(params, updates)

    Args:
      fast_optimizer: a transformation.
      sync_period: steps from one sync to the next; those of its optimizer, where the fast one is a `MultiSteps`.
      slow_step_size: how far the slow parameters go, between 0 and 1.
      reset_state: whether the fast optimizer starts again, at the slow parameters, after each sync.

    Raises:
      TypeError: from `update`, the parameters are not `LookaheadParams`.

    Conventions:
      The slow parameters start with the fast ones, as in the paper and in Optax. In timm they start at the first sync, which
      therefore leaves all as it is, unless `sync_lookahead()` is called before the first step.

    References:
      Zhang et al., Lookahead Optimizer: k steps forward, 1 step back, 2019, https://arxiv.org/abs/1907.08610
    """
    fast_optimizer = with_extra_args_support(fast_optimizer)

    @tree.lift
    def rule(u, slow, p, *, sync):
        draw = slow_step_size * (p + u - slow)
        return jnp.where(sync, slow + draw - p, u), jnp.where(sync, draw, 0)

    def init(params: Params) -> LookaheadState:
        return LookaheadState(fast_optimizer.init(params.fast if is_pair(params) else params), jnp.zeros((), jnp.int32))

    @forwards_to(fast_optimizer, changes_updates=True, states=lambda state: (state.fast_state,))
    @compiled
    def update(updates: Updates, state: LookaheadState, params: Params, **extra_args: Any):
        if not is_pair(params):
            raise TypeError("lookahead has two sets of parameters: LookaheadParams.init_synced(params) makes them of one.")
        updates, fast_state = fast_optimizer.update(updates, state.fast_state, params.fast, **extra_args)
        at_steps = if_stepped(fast_optimizer, state.fast_state, fast_state)
        steps = at_steps((state.steps_since_sync + 1) % sync_period, state.steps_since_sync)
        sync = at_steps(steps == 0, False)
        fast_updates, slow_updates = rule(updates, params.slow, params.fast, sync=sync)
        if reset_state:
            start = apply_updates(params.fast, fast_updates)
            fast_state = jax.lax.cond(
                sync,
                lambda: keep_dtypes(fast_optimizer.init(start), state.fast_state),
                lambda: keep_dtypes(fast_state, state.fast_state),
            )
        return LookaheadParams(fast_updates, slow_updates), LookaheadState(fast_state, steps)

    return GradientTransformationExtraArgs(init, update)


def is_pair(params: Params) -> bool:
    """Return whether the parameters are `LookaheadParams`, of gradtx or of another library."""
    return hasattr(params, "fast") and hasattr(params, "slow")
