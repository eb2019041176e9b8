"""AdaGrad (Duchi et al. 2011)."""

from typing import NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
)
from gradtx.numerics import added_finitely, bounded_square, safe_sqrt, squarable
from gradtx.transforms.scale import scale_by_learning_rate


class ScaleByRssState(NamedTuple):
    """Sum of the squares of the gradient."""

    sum_of_squares: Updates


@factory
def scale_by_rss(
    initial_accumulator_value: float = 0.1, eps: float = 1e-7, *, eps_in_sqrt: bool = True
) -> GradientTransformation:
    """AdaGrad's rescaling: the gradient over the root of the sum of all its squares.

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
        s = added_finitely(s, bounded_square(g))  # finite: an infinite sum would end all steps
        root = safe_sqrt(s + eps) if eps_in_sqrt else safe_sqrt(s) + eps
        return squarable(g) / jnp.where(root == 0, 1, root), s  # not 0/0 for a coordinate that never had a gradient

    def init(params: Params) -> ScaleByRssState:
        return ScaleByRssState(tree.moment_like(params, fill_value=initial_accumulator_value, real=True))

    def update(updates: Updates, state: ScaleByRssState, params: Params | None = None):
        updates, sum_of_squares = rule(updates, state.sum_of_squares)
        return updates, ScaleByRssState(sum_of_squares)

    return GradientTransformation(init, update)


@factory
def adagrad(
    learning_rate: ScalarOrSchedule, initial_accumulator_value: float = 0.1, eps: float = 1e-7
) -> GradientTransformationExtraArgs:
    """AdaGrad: steps that shorten, coordinate by coordinate, as squared gradients add up.

        s ← s + |g|²
        Δp = −η·g / √(s + eps)

    Args:
      learning_rate: η, a number or a schedule.
      initial_accumulator_value, eps: as in `scale_by_rss`.

    Conventions:
      The defaults and the place of eps are those of Keras. PyTorch begins with s = 0 and adds 1e-10 outside of the root: with
      small gradients its first steps are longer by orders of magnitude. Exactly theirs are `interop.torch.adagrad` and
      `interop.keras.adagrad`.

    References:
      Duchi, Hazan and Singer, 2011, https://jmlr.org/papers/v12/duchi11a.html
    """
    return chain(scale_by_rss(initial_accumulator_value, eps), scale_by_learning_rate(learning_rate))
