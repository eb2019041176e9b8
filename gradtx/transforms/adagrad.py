"""AdaGrad (Duchi et al. 2011)."""

from typing import NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import GradientTransformation, Params, Updates, factory
from gradtx.numerics import abs_sq, safe_sqrt


class ScaleByRssState(NamedTuple):
    """Sum of the squares of the gradient."""

    sum_of_squares: Updates


@factory
def scale_by_rss(initial_accumulator_value: float = 0.1, eps: float = 1e-7) -> GradientTransformation:
    """Divide the gradient by the root of the sum of all its squares.

        s ← s + |g|²
        u = g / √(s + eps)       and 0 where s = 0

    Args:
      initial_accumulator_value: s at the start.
      eps: added inside of the root.

    References:
      Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, 2011,
        https://jmlr.org/papers/v12/duchi11a.html
    """

    @tree.lift
    def rule(g, s):
        s = s + abs_sq(g)
        return g / jnp.where(s > 0, safe_sqrt(s + eps), 1), s

    def init(params: Params) -> ScaleByRssState:
        return ScaleByRssState(tree.moment_like("scale_by_rss", params, fill_value=initial_accumulator_value, real=True))

    def update(updates: Updates, state: ScaleByRssState, params: Params | None = None):
        updates, sum_of_squares = rule(updates, state.sum_of_squares)
        return updates, ScaleByRssState(sum_of_squares)

    return GradientTransformation(init, update)
