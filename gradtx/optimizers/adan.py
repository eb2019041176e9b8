"""Adan (Xie et al. 2022)."""

from typing import NamedTuple

import jax
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
    tells,
)
from gradtx.numerics import Count, abs_sq, debias, safe_increment, safe_sqrt, squarable
from gradtx.transforms.decay_after_step import decay_after_step
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


class ScaleByAdanState(NamedTuple):
    """Mean of the gradient, mean of its change, mean of the square of both, last gradient, steps taken."""

    m: Updates
    v: Updates
    n: Updates
    g: Updates
    t: Count


@factory
def scale_by_adan(
    b1: float = 0.98, b2: float = 0.92, b3: float = 0.99, eps: float = 1e-8, eps_root: float = 0.0
) -> GradientTransformation:
    """Adan's rescaling: Adam's, with a momentum that looks ahead by the change of the gradient.

        d = g − gₜ₋₁   (0 at the first step)
        m ← b1·m + (1−b1)·g                       m̂ = m / (1−b1ᵗ)
        v ← b2·v + (1−b2)·d                       v̂ = v / (1−b2ᵗ)
        n ← b3·n + (1−b3)·|g + b2·d|²             n̂ = n / (1−b3ᵗ)
        u = (m̂ + b2·v̂) / (√(n̂ + eps_root) + eps)

    The decays are those of the authors' code; in their paper b1, b2, b3 stand for one minus these.

    Args:
      b1: decay of the mean of the gradient.
      b2: decay of the mean of its change, and the weight of the change.
      b3: decay of the mean of the square.
      eps, eps_root: as in `scale_by_adam`.

    References:
      Xie et al., Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models, 2022,
        https://arxiv.org/abs/2208.06677
    """

    @tree.lift
    def rule(g, m, v, n, previous, *, first, debias1, debias2, debias3):
        raw, g = g, squarable(g)
        change = jnp.where(first, 0, g - squarable(previous))
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * change
        n = b3 * n + (1 - b3) * abs_sq(g + b2 * change)
        u = (m / debias1 + b2 * v / debias2) / (safe_sqrt(n / debias3 + eps_root) + eps)
        return u, m, v, n, raw  # as it is: of a copy that is computed, a step would keep two

    def moment(params: Params, real: bool = False) -> Updates:
        return tree.moment_like(params, real=real)

    def init(params: Params) -> ScaleByAdanState:
        means = moment(params), moment(params), moment(params, real=True)
        return ScaleByAdanState(*means, g=moment(params), t=jnp.zeros((), jnp.int32))

    @tells(update_size=1.0)
    def update(updates: Updates, state: ScaleByAdanState, params: Params | None = None):
        t = safe_increment(state.t)
        weights: dict[str, jax.Array] = {f"debias{k}": debias(b, t) for k, b in ((1, b1), (2, b2), (3, b3))}
        updates, m, v, n, g = rule(updates, state.m, state.v, state.n, state.g, first=t == 1, **weights)
        return updates, ScaleByAdanState(m, v, n, g, t)

    return GradientTransformation(init, update)


@factory
def adan(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.98,
    b2: float = 0.92,
    b3: float = 0.99,
    eps: float = 1e-8,
    eps_root: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
    *,
    proximal: bool = False,
) -> GradientTransformationExtraArgs:
    """Adan: Adam with a momentum that looks ahead by the change of the gradient.

        Δp = −η·( (m̂ + b2·v̂) / (√(n̂ + eps_root) + eps) + weight_decay·p )

    with the means of `scale_by_adan`. The weight of v̂ is b2, as in the authors' code; Optax's is 1−b2.

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, b3, eps, eps_root: as in `scale_by_adan`.
      weight_decay, mask: as in `adamw`.
      proximal: whether the decay divides the parameters after the step, p ← (p + Δp) / (1 + η·weight_decay).

    Conventions:
      The decay of the paper and of the authors' code is the proximal one; that of Optax is the one by default.

    References:
      Xie et al., 2022, https://arxiv.org/abs/2208.06677
    """
    if proximal:
        return chain(
            scale_by_adan(b1, b2, b3, eps, eps_root),
            scale_by_learning_rate(learning_rate),
            decay_after_step(learning_rate, weight_decay, mask, proximal=True),
        )
    return chain(
        scale_by_adan(b1, b2, b3, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
