"""Optimistic gradient descent (Mokhtari et al. 2019) and optimistic Adam (Daskalakis et al. 2018)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

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
from gradtx.errors import unnamed, warn
from gradtx.optimizers.adam import scale_by_adam
from gradtx.transforms.scale import scale, scale_by_learning_rate


class ScaleByOptimisticGradientState(NamedTuple):
    """Whether no step was taken, and the last gradient."""

    is_initial_step: jax.Array
    previous_gradient: Updates


@factory
def scale_by_optimistic_gradient(alpha: float = 1.0, beta: float = 1.0) -> GradientTransformation:
    """Optimistic gradient: look ahead by the change of the gradient, which keeps games between players from circling.

        u = (alpha + beta)·gₜ − beta·gₜ₋₁   (alpha·g at the first step)

    Args:
      alpha: weight of the gradient.
      beta: weight of its change.

    References:
      Mokhtari et al., A Unified Analysis of Extra-gradient and Optimistic Gradient Methods for Saddle Point Problems, 2019,
        https://arxiv.org/abs/1901.08511
    """

    @tree.lift
    def rule(g, previous, *, first):
        return alpha * g + beta * jnp.where(first, 0, g - previous), g

    def init(params: Params) -> ScaleByOptimisticGradientState:
        return ScaleByOptimisticGradientState(jnp.array(True), tree.moment_like(params))

    def update(updates: Updates, state: ScaleByOptimisticGradientState, params: Params | None = None):
        updates, previous = rule(updates, state.previous_gradient, first=state.is_initial_step)
        return updates, ScaleByOptimisticGradientState(jnp.array(False), previous)

    return GradientTransformation(init, update)


@factory
def optimistic_gradient_descent(
    learning_rate: ScalarOrSchedule, alpha: float = 1.0, beta: float = 1.0
) -> GradientTransformationExtraArgs:
    """Optimistic gradient descent: looks ahead by the change of the gradient; for games, where plain descent circles.

        Δp = −η·( alpha·gₜ + beta·(gₜ − gₜ₋₁) )

    Args:
      learning_rate: η, a number or a schedule.
      alpha, beta: as in `scale_by_optimistic_gradient`.

    References:
      Mokhtari et al., 2019, https://arxiv.org/abs/1901.08511
    """
    return chain(scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))


@factory
def optimistic_adam(
    learning_rate: ScalarOrSchedule,
    optimism: float | None = None,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """Optimistic Adam, deprecated for `optimistic_adam_v2`, whose weights are relative to the learning rate.

        Δp = −( η·uₜ + optimism·(uₜ − uₜ₋₁) )

    Args:
      learning_rate: η, a number or a schedule.
      optimism: weight of the change; by default η.
      b1, b2, eps, eps_root, mu_dtype, nesterov: as in `scale_by_adam`.

    Raises:
      ValueError: `optimism` is given beside a schedule.

    References:
      Daskalakis et al., Training GANs with Optimism, 2018, https://arxiv.org/abs/1711.00141
    """
    warn(
        "`optimistic_adam` is deprecated: use `optimistic_adam_v2` instead, whose beta is optimism / learning_rate.",
        DeprecationWarning,
    )
    if optimism is None:
        return optimistic_adam_v2(learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root, mu_dtype=mu_dtype, nesterov=nesterov)
    if callable(learning_rate):
        message = "beside a schedule leave optimism out; in optimistic_adam_v2 beta is optimism / learning_rate."
        raise unnamed(ValueError, message)
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(learning_rate, optimism),  # pyright: ignore[reportArgumentType]
        scale(-1.0),
    )


@factory
def optimistic_adam_v2(
    learning_rate: ScalarOrSchedule,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """Optimistic Adam: Adam that looks ahead by the change of its updates u.

        Δp = −η·( alpha·uₜ + beta·(uₜ − uₜ₋₁) )

    Args:
      learning_rate: η, a number or a schedule.
      alpha, beta: weights of the update and of its change.
      b1, b2, eps, eps_root, mu_dtype, nesterov: as in `scale_by_adam`.

    References:
      Daskalakis et al., Training GANs with Optimism, 2018, https://arxiv.org/abs/1711.00141
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(alpha, beta),
        scale_by_learning_rate(learning_rate),
    )
