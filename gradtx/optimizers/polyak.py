"""Gradient descent with Polyak's step size (Polyak 1969, Loizou et al. 2021)."""

from typing import Literal

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.core import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
    init_empty_state,
)
from gradtx.optimizers.sgd import sgd
from gradtx.require import NONNEGATIVE
from gradtx.transforms.scale import scaled


@factory(max_learning_rate=require.NONNEGATIVE._replace(infinite=True))
def scale_by_polyak(
    f_min: float = 0.0, max_learning_rate: float = 1.0, eps: float = 0.0, variant: Literal["sps", "sps+"] = "sps"
) -> GradientTransformation:
    """Polyak's step: the gradient times the step that would reach the minimum if the function were linear.

        u = min( (f − f_min) / (‖g‖² + eps), max_learning_rate ) · g         0 where ‖g‖ = 0

    `update` reads the value f as the extra argument `value`.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      f_min: the least value the function can have.
      max_learning_rate: the greatest factor.
      eps: added to the square of the norm.
      variant: "sps", or "sps+" with max(f − f_min, 0), for values that may lie below `f_min`.

    Raises:
      ValueError: `variant` is another word.

    References:
      Polyak, Minimization of unsmooth functionals, 1969, https://doi.org/10.1016/0041-5553(69)90061-5
      Loizou et al., Stochastic Polyak Step-size for SGD, 2021, https://arxiv.org/abs/2002.10542
      Garrigos et al., Function Value Learning: Adaptive Learning Rates Based on the Polyak Stepsize, 2023,
        https://arxiv.org/abs/2307.14528
    """

    def update(updates: Updates, state: EmptyState, params: Params | None = None, *, value: float | jax.Array):
        require.scalar("value", value)
        gap = jnp.asarray(value, float) - f_min
        gap = jnp.maximum(gap, 0) if variant == "sps+" else gap
        norm = tree.norm(updates).astype(float)
        moves = norm > 0
        # At a stationary point nothing is divided by 0, also in the branch not taken.
        norm = jnp.where(moves, norm, 1)
        step = gap / (norm + eps / norm) / norm  # the square of the norm may overflow, or vanish
        return scaled(updates, factor=jnp.where(moves, jnp.minimum(step, max_learning_rate), 0)), state

    return GradientTransformation(init_empty_state, update)


@factory(max_learning_rate=NONNEGATIVE._replace(infinite=True), scaling=NONNEGATIVE)
def polyak_sgd(
    max_learning_rate: float = 1.0,
    scaling: ScalarOrSchedule = 1.0,
    f_min: float = 0.0,
    eps: float = 0.0,
    variant: Literal["sps", "sps+"] = "sps",
) -> GradientTransformationExtraArgs:
    """SGD with Polyak's step, which would reach the minimum if the function were linear; `update` reads `value`.

        Δp = −scaling · min( (f − f_min) / (‖g‖² + eps), max_learning_rate ) · g

    where g is the gradient times `scaling`, too, in the norm.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      f_min, max_learning_rate, eps, variant: as in `scale_by_polyak`.
      scaling: a factor, a number or a schedule.

    References:
      Loizou et al., Stochastic Polyak Step-size for SGD, 2021, https://arxiv.org/abs/2002.10542
    """
    return chain(sgd(scaling), scale_by_polyak(f_min, max_learning_rate, eps, variant))
