"""Adam's denominator under any direction: the root mean square of the gradient."""

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
    tells,
    with_extra_args_support,
)
from gradtx.numerics import Count, abs_sq, clipped_to_finite, debias, safe_increment, safe_sqrt, squarable
from gradtx.require import Range
from gradtx.tree import mismatch
from gradtx.tree.dtypes import at_least_float32


class ScaleByGradientRmsState(NamedTuple):
    """Steps taken, mean (or sum) of the square of the gradient, and the state of the inner transformation."""

    count: Count
    nu: Updates
    inner_state: OptState


@factory(decay=Range(low=0, high=1))
def scale_by_gradient_rms(
    inner: Transformation, decay: float = 0.999, eps: float = 1e-8, *, bias_correction: bool = True
) -> GradientTransformationExtraArgs:
    """Divide the updates of `inner` by the root mean square of the gradient, entry by entry: Adam with any momentum.

        v ← decay·v + (1−decay)·|g|²          v̂ = v / (1−decayᵗ)
        u ← u / (√v̂ + eps)                    u of `inner`, g the gradient that it got

    With `ema(0.9)` this is Adam, with `ema(0.9, output_decay=0.8)` it is Adam that looks ahead. Distributed Shampoo grafts the
    sizes of such steps: with `bias_correction=False` those of RMSprop, with a decay of 1, which sums up, those of Adagrad.

    Args:
      inner: what makes a direction of the gradient.
      decay: of the mean of squares; 1 for their sum.
      eps: added outside of the root.
      bias_correction: whether to divide v by the weight accumulated so far.

    Raises:
      ValueError: a number is out of its range.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, https://arxiv.org/abs/1412.6980
    """
    inner = with_extra_args_support(inner)

    @tree.lift
    def bounded(g):
        return squarable(g)  # for u and v alike, so that their quotient is a bounded step after any gradient

    @tree.lift(like="u v")
    def rule(u, v, g, *, weight):
        v = clipped_to_finite(decay * v + jnp.where(decay == 1, 1.0, 1 - decay) * abs_sq(g))
        root = safe_sqrt(v / weight) + eps
        return u / jnp.where(root == 0, 1, root), v

    def init(params: Params) -> ScaleByGradientRmsState:
        return ScaleByGradientRmsState(jnp.zeros((), jnp.int32), tree.moment_like(params, real=True), inner.init(params))

    @tells(decays={"nu": ("decay", decay)})
    @forwards_to(inner, changes_updates=True)
    def update(updates: Updates, state: ScaleByGradientRmsState, params: Params | None = None, **extra_args: Any):
        with mismatch.explaining(g=updates):
            wide = tree.map_leaves(lambda g: g.astype(at_least_float32(g.dtype)), updates)
        gradients = bounded(wide)
        directions, inner_state = inner.update(gradients, state.inner_state, params, **extra_args)
        count = safe_increment(state.count)
        weight = jnp.where(decay == 1, 1.0, debias(decay, count)) if bias_correction else 1.0
        scaled, nu = rule(directions, state.nu, gradients, weight=weight)
        return tree.cast_like(scaled, updates), ScaleByGradientRmsState(count, nu, inner_state)

    return GradientTransformationExtraArgs(init, update)
