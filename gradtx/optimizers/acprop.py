"""ACProp (Zhuang et al. 2021)."""

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
from gradtx.numerics import abs_sq, debias, safe_increment, safe_sqrt, squarable
from gradtx.optimizers.adabelief import ScaleByBeliefState
from gradtx.optimizers.adam import init_adam_state
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


@factory
def scale_by_acprop(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-16, eps_root: float = 1e-16) -> GradientTransformation:
    """ACProp's rescaling: the gradient over its deviation from its mean, both as they were before this gradient.

        u = g / (√v̂ + eps)                           v̂ = v / (1−b2ᵗ⁻¹), and 1 at the first step
        v ← b2·v + (1−b2)·|g − m|² + eps_root
        m ← b1·m + (1−b1)·g

    Being independent of the gradient they divide, the v of the past do not bend its direction.

    Args:
      b1, b2, eps, eps_root: as in `scale_by_belief`.

    References:
      Zhuang et al., Momentum Centering and Asynchronous Update for Adaptive Gradient Methods, 2021,
        https://arxiv.org/abs/2110.05454
    """

    @tree.lift
    def rule(g, m, v, *, first, debias2):
        g = squarable(g)
        root = jnp.where(first, 1, safe_sqrt(v / debias2))
        return g / (root + eps), b1 * m + (1 - b1) * g, b2 * v + ((1 - b2) * abs_sq(g - m) + eps_root)

    def init(params: Params) -> ScaleByBeliefState:
        return ScaleByBeliefState(*init_adam_state(params))

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)})
    def update(updates: Updates, state: ScaleByBeliefState, params: Params | None = None):
        first = state.count == 0
        debias2 = jnp.where(first, 1, debias(b2, state.count))  # 0 before the first step, where v is 0, too
        updates, mu, nu = rule(updates, state.mu, state.nu, first=first, debias2=debias2)
        return updates, ScaleByBeliefState(safe_increment(state.count), mu, nu)

    return GradientTransformation(init, update)


@factory
def acprop(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """ACProp: AdaBelief without momentum that divides by the deviation in earlier steps.

        Δp = −η·( g / (√v̂ + eps) + weight_decay·p )        v̂ of `scale_by_acprop`

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, eps_root: as in `scale_by_acprop`.
      weight_decay, mask: as in `adamw`.

    References:
      Zhuang et al., 2021, https://arxiv.org/abs/2110.05454
    """
    return chain(
        scale_by_acprop(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
