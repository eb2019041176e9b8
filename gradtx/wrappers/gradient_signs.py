"""Grams (Cao et al. 2024): the sizes of an optimizer, with the signs of the gradient."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    with_extra_args_support,
)
from gradtx.wrappers.directions import refuse_steps


class ScaleByGradientSignsState(NamedTuple):
    """The state of the inner transformation."""

    inner_state: OptState


@factory
def scale_by_gradient_signs(inner: Transformation) -> GradientTransformationExtraArgs:
    """Grams: take how far each entry moves from a direction with momentum, and which way from the gradient of this step.

        u ← sign(g)·|u|        u of `inner`, g the gradient that it got

    It goes around the direction alone; weight decay and learning rate follow:

        chain(scale_by_gradient_signs(scale_by_adam()), scale_by_learning_rate(1e-3))

    Args:
      inner: what makes a direction of the gradient; no learning rate is in it.

    Raises:
      ValueError: from `init`, a learning rate is in `inner`.

    References:
      Cao, Li and Song, Grams: Gradient Descent with Adaptive Momentum Scaling, 2024, https://arxiv.org/abs/2412.17107
    """
    inner = with_extra_args_support(inner)

    @tree.lift
    def rule(u, g):
        return jnp.sign(g) * jnp.abs(u)

    def init(params: Params) -> ScaleByGradientSignsState:
        inner_state = inner.init(params)
        refuse_steps(inner, inner_state)
        return ScaleByGradientSignsState(inner_state)

    @forwards_to(inner, changes_updates=True)
    def update(updates: Updates, state: ScaleByGradientSignsState, params: Params | None = None, **extra_args: Any):
        directions, inner_state = inner.update(updates, state.inner_state, params, **extra_args)
        return rule(directions, updates), ScaleByGradientSignsState(inner_state)

    return GradientTransformationExtraArgs(init, update)
