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
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule,
    mask: Mask | None = None,
    *,
    begin: int = 0,
    proximal: bool = False,
) -> GradientTransformation:
    """Weight decay after the step: shrink the parameters once they have moved; last in a chain.

        Δ ← Δ − η·λ·(p + Δ)            so that p ← (1 − η·λ)·(p + Δ)

    `add_decayed_weights` shrinks them as they were before the step, which differs by η·λ·Δ. A `proximal` decay divides instead,
    p ← (p + Δ) / (1 + η·λ): the least of the penalty and the distance from where the step leads, however large η·λ is.

    Args:
      learning_rate: η, a number or a schedule: that of the chain.
      weight_decay: λ, a number or a schedule.
      mask: as in `add_decayed_weights`.
      begin: how many steps there are at first without decay.
      proximal: whether to divide by 1 + η·λ instead of multiplying by 1 − η·λ.

    Raises:
      ValueError: a number is negative.
    """

    @tree.lift
    def rule(u, p, *, rate):
        return u - rate * (p + u)

    def init(params: Params) -> ScaleByScheduleState:
        return ScaleByScheduleState(jnp.zeros((), jnp.int32))

    def update(updates: Updates, state: ScaleByScheduleState, params: Params):
        rate: Any = at_step(weight_decay, state.count) * at_step(learning_rate, state.count)
        rate = jnp.where(state.count < begin, 0, rate)
        updates = rule(updates, params, rate=rate / (1 + rate) if proximal else rate)
        return updates, ScaleByScheduleState(safe_increment(state.count))

    if mask is None:
        return GradientTransformation(init, update)
    return GradientTransformation(*through_mask(mask, init, update))
