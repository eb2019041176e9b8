"""Weight decay, decoupled from the gradient (Loshchilov & Hutter 2019)."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    EmptyState,
    GradientTransformation,
    Params,
    ScalarOrSchedule,
    Schedule,
    Updates,
    at_step,
    factory,
    init_empty_state,
    tells,
)
from gradtx.numerics import Count, safe_increment
from gradtx.tree.masks import Mask, through_mask

AddDecayedWeightsState = EmptyState


class WeightDecaySchedule(NamedTuple):
    """Steps taken."""

    count: Count


@tree.lift
def _add_decayed_weights(g, p, *, factor):
    return g + factor * p


@factory
def add_decayed_weights(weight_decay: ScalarOrSchedule = 0.0, mask: Mask | None = None) -> GradientTransformation:
    """Weight decay: add a fraction of the parameters to the updates, u = g + weight_decay·p.

    After an adaptive rescaling and before the learning rate this is the decay of AdamW; before the rescaling it is an L2
    penalty, which the rescaling all but undoes.

    Args:
      weight_decay: the fraction, a number or a schedule.
      mask: a tree of bools like the parameters (or the upper part of such a tree), or a function of the parameters that
        returns one (`masked` says what it is called with): what is False does not decay.

    Raises:
      TypeError: a leaf of the mask is not a bool.
      ValueError: the mask does not match the tree.

    References:
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, https://arxiv.org/abs/1711.05101
    """
    decay = _scheduled(weight_decay) if callable(weight_decay) else _constant(weight_decay)
    if mask is None:
        return decay
    return GradientTransformation(*through_mask(mask, *decay))


def _constant(weight_decay: Any) -> GradientTransformation:
    @tells(factor=1.0)
    def update(updates: Updates, state: EmptyState, params: Params):
        return _add_decayed_weights(updates, params, factor=weight_decay), state

    return GradientTransformation(init_empty_state, update)


def _scheduled(weight_decay: Schedule) -> GradientTransformation:
    def init(params: Params) -> WeightDecaySchedule:
        return WeightDecaySchedule(jnp.zeros((), jnp.int32))

    @tells(factor=1.0)
    def update(updates: Updates, state: WeightDecaySchedule, params: Params):
        updates = _add_decayed_weights(updates, params, factor=at_step(weight_decay, state.count))
        return updates, WeightDecaySchedule(safe_increment(state.count))

    return GradientTransformation(init, update)
