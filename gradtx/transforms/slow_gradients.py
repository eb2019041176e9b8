"""Grokfast (Lee et al. 2024): amplify what is slow in the gradients."""

from typing import NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import GradientTransformation, Params, Updates, factory, tells
from gradtx.numerics import Count, safe_increment
from gradtx.require import NONNEGATIVE


class AmplifySlowGradientsState(NamedTuple):
    """Steps taken, mean of the gradient."""

    count: Count
    mu: Updates


@factory(factor=NONNEGATIVE)
def amplify_slow_gradients(decay: float = 0.98, factor: float = 2.0) -> GradientTransformation:
    """Grokfast: add a multiple of the mean of the gradients, so that what changes slowly counts for more.

        m ← decay·m + (1−decay)·g        m = g at the first step
        u = g + factor·m

    It comes first in a chain, before any optimizer. Made for models that generalize long after they have learned their
    examples by heart (grokking), which it hastens.

    Args:
      decay: of the mean.
      factor: of the mean in the sum.

    Raises:
      ValueError: `decay` is not in [0, 1), or `factor` is negative.

    Conventions:
      This is the authors' `gradfilter_ema`. Their other filter has the mean of a window.

    References:
      Lee et al., Grokfast: Accelerated Grokking by Amplifying Slow Gradients, 2024, https://arxiv.org/abs/2405.20233
    """

    @tree.lift
    def rule(g, m, *, first):
        m = jnp.where(first, g, decay * m + (1 - decay) * g)
        return g + factor * m, m

    def init(params: Params) -> AmplifySlowGradientsState:
        return AmplifySlowGradientsState(jnp.zeros((), jnp.int32), tree.moment_like(params))

    @tells(decays={"mu": ("decay", decay)})
    def update(updates: Updates, state: AmplifySlowGradientsState, params: Params | None = None):
        updates, mu = rule(updates, state.mu, first=state.count == 0)
        return updates, AmplifySlowGradientsState(safe_increment(state.count), mu)

    return GradientTransformation(init, update)
