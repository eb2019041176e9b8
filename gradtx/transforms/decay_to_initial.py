"""Decay towards the first parameters, as of a model that is fine-tuned (Li et al. 2018)."""

from typing import NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import GradientTransformation, Params, ScalarOrSchedule, Updates, at_step, factory, tells
from gradtx.numerics import Count, safe_increment
from gradtx.require import NONNEGATIVE


class DecayToInitialState(NamedTuple):
    """Steps taken, the first parameters."""

    count: Count
    init_params: Params


@factory(weight=NONNEGATIVE)
def decay_to_initial(weight: ScalarOrSchedule) -> GradientTransformation:
    """Decay to the initial parameters: weight decay towards where training began, instead of zero.

        u = g + weight·(p − p₀)

    What fine-tuning has no use for stays as it was learned before. As of weight decay, it is decoupled after an adaptive
    rescaling, before the learning rate; before the rescaling it is a penalty (L2-SP).

    Args:
      weight: the fraction of the way back, a number or a schedule.

    Raises:
      ValueError: `weight` is negative.

    References:
      Li, Grandvalet and Davoine, Explicit Inductive Bias for Transfer Learning with Convolutional Networks, 2018,
        https://arxiv.org/abs/1802.01483
    """

    @tree.lift
    def rule(g, p, initial, *, weight):
        return g + weight * (p - initial)

    def init(params: Params) -> DecayToInitialState:
        return DecayToInitialState(jnp.zeros((), jnp.int32), tree.copy_of(params))

    @tells(precise=("init_params",), factor=1.0)
    def update(updates: Updates, state: DecayToInitialState, params: Params):
        updates = rule(updates, params, state.init_params, weight=at_step(weight, state.count))
        return updates, state._replace(count=safe_increment(state.count))

    return GradientTransformation(init, update)
