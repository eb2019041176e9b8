"""Weight decay, decoupled from the gradient (Loshchilov & Hutter 2019)."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

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
_Rule: TypeAlias = Callable[..., Updates]


class WeightDecaySchedule(NamedTuple):
    """Steps taken."""

    count: Count


@tree.lift
def _add_decayed_weights(g, p, *, factor):
    return g + factor * p


@tree.lift
def _add_cautiously(g, p, *, factor):
    # Signs, as the product of two small numbers is 0. The product with p, not a choice, keeps a NaN in it.
    agrees = jnp.real(jnp.conj(jnp.sign(g)) * jnp.sign(p)) >= 0
    return g + factor * (agrees.astype(p.dtype) * p)


@factory
def add_decayed_weights(
    weight_decay: ScalarOrSchedule = 0.0, mask: Mask | None = None, *, cautious: bool = False
) -> GradientTransformation:
    """Weight decay: add a fraction of the parameters to the updates, u = g + weight_decay·p.

    After an adaptive rescaling and before the learning rate this is the decay of AdamW; before the rescaling it is an L2
    penalty, which the rescaling all but undoes.

    Cautious decay takes an entry of the parameters only where the update moves it towards zero as well:

        u = g + weight_decay·p·1[g·p ≥ 0]

    An optimizer then finds a minimum of the loss itself, not of a loss with a penalty. It needs the updates that come after the
    rescaling, as in AdamW.

    Args:
      weight_decay: the fraction, a number or a schedule.
      mask: a tree of bools like the parameters (or the upper part of such a tree), or a function of the parameters that
        returns one (`masked` says what it is called with): what is False does not decay.
      cautious: whether an entry decays only where the update does not move it away from zero.

    Raises:
      TypeError: a leaf of the mask is not a bool.
      ValueError: the mask does not match the tree.

    Conventions:
      Where an update is 0, as of embeddings that a batch has not seen, cautious decay goes on (≥), as in the paper and in the
      authors' Dion; in modded-nanogpt it does not (>).

    References:
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, https://arxiv.org/abs/1711.05101
      Chen et al., Cautious Weight Decay, 2025, https://arxiv.org/abs/2510.12402
    """
    rule = _add_cautiously if cautious else _add_decayed_weights
    decay = _scheduled(weight_decay, rule) if callable(weight_decay) else _constant(weight_decay, rule)
    if mask is None:
        return decay
    return GradientTransformation(*through_mask(mask, *decay))


def _constant(weight_decay: Any, rule: _Rule) -> GradientTransformation:
    @tells(factor=1.0)
    def update(updates: Updates, state: EmptyState, params: Params):
        return rule(updates, params, factor=weight_decay), state

    return GradientTransformation(init_empty_state, update)


def _scheduled(weight_decay: Schedule, rule: _Rule) -> GradientTransformation:
    def init(params: Params) -> WeightDecaySchedule:
        return WeightDecaySchedule(jnp.zeros((), jnp.int32))

    @tells(factor=1.0)
    def update(updates: Updates, state: WeightDecaySchedule, params: Params):
        updates = rule(updates, params, factor=at_step(weight_decay, state.count))
        return updates, WeightDecaySchedule(safe_increment(state.count))

    return GradientTransformation(init, update)
