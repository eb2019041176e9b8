"""Weight decay of the parameters as the step has left them."""

from typing import Any

import jax.numpy as jnp

from gradtx import require, tree
from gradtx.core import GradientTransformation, Params, ScalarOrSchedule, Updates, at_step, factory
from gradtx.numerics import safe_increment
from gradtx.require import NONNEGATIVE
from gradtx.transforms.scale import ScaleByScheduleState
from gradtx.tree.masks import Mask, through_mask


@factory(weight_decay=require.NONNEGATIVE, begin=NONNEGATIVE)
def decay_after_step(
    learning_rate: ScalarOrSchedule, weight_decay: float, mask: Mask | None = None, *, begin: int = 0
) -> GradientTransformation:
    """Weight decay after the step: shrink the parameters once they have moved; last in a chain.

        Δ ← Δ − η·λ·(p + Δ)            so that p ← (1 − η·λ)·(p + Δ)

    `add_decayed_weights` shrinks them as they were before the step, which differs by η·λ·Δ.

    Args:
      learning_rate: η, a number or a schedule: that of the chain.
      weight_decay: λ.
      mask: as in `add_decayed_weights`.
      begin: how many steps there are at first without decay.

    Raises:
      ValueError: a number is negative.
    """

    @tree.lift
    def rule(u, p, *, rate):
        return u - rate * (p + u)

    def init(params: Params) -> ScaleByScheduleState:
        return ScaleByScheduleState(jnp.zeros((), jnp.int32))

    def update(updates: Updates, state: ScaleByScheduleState, params: Params):
        rate: Any = weight_decay * at_step(learning_rate, state.count)
        updates = rule(updates, params, rate=jnp.where(state.count < begin, 0, rate))
        return updates, ScaleByScheduleState(safe_increment(state.count))

    if mask is None:
        return GradientTransformation(init, update)
    return GradientTransformation(*through_mask(mask, init, update))
