"""AdaGrad (Duchi et al. 2011)."""

from typing import NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import GradientTransformation, Params, Updates, factory
from gradtx.numerics import abs_sq, safe_sqrt, saturated, squarable


class ScaleByRssState(NamedTuple):
    """Sum of the squares of the gradient."""

    sum_of_squares: Updates


@factory
def scale_by_rss(
    initial_accumulator_value: float = 0.1, eps: float = 1e-7, *, eps_in_sqrt: bool = True
) -> GradientTransformation:
    """Divide the gradient by the root of the sum of all its squares.

        s ← s + |g|²
        u = g / √(s + eps)       or, without `eps_in_sqrt`, u = g / (√s + eps); 0 where s = 0

    Args:
      initial_accumulator_value: s at the start.
      eps: bounds the step where the sum is small.
      eps_in_sqrt: whether eps is inside of the root (as in TensorFlow and Keras) or outside (as in the paper and in PyTorch).

    References:
      Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, 2011,
        https://jmlr.org/papers/v12/duchi11a.html
    """

    @tree.lift
    def rule(g, s):
        g = squarable(g)
        s = saturated(s + abs_sq(g))
        root = safe_sqrt(s + eps) if eps_in_sqrt else safe_sqrt(s) + eps
        return g / jnp.where(root == 0, 1, root), s

    def init(params: Params) -> ScaleByRssState:
        return ScaleByRssState(tree.moment_like("scale_by_rss", params, fill_value=initial_accumulator_value, real=True))

    def update(updates: Updates, state: ScaleByRssState, params: Params | None = None):
        updates, sum_of_squares = rule(updates, state.sum_of_squares)
        return updates, ScaleByRssState(sum_of_squares)

    return GradientTransformation(init, update)
