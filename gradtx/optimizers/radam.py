"""RAdam, rectified Adam (Liu et al. 2020)."""

import functools
from collections.abc import Callable
from typing import Any

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
from gradtx.numerics import abs_sq, debias, in_dtype, safe_increment, safe_sqrt, squarable
from gradtx.optimizers.adam import ScaleByAdamState, bias_corrections, debias_mean, init_adam_state
from gradtx.transforms.scale import scale_by_learning_rate


def rectifier(b2: Any, threshold: Any) -> Callable[[jax.Array, Any], tuple[jax.Array, jax.Array]]:
    """Return a function of the count of steps and a dtype: whether v is trusted in that step, and the factor r.

    Args:
      b2: decay of v.
      threshold: the ρ from which on it is trusted.
    """

    @functools.partial(jax.jit, static_argnums=1)
    def rectify(count, dtype):
        with jax.enable_x64(True):  # ρ is a small difference of large numbers
            weight = debias(b2, count)
            rho_inf = 2 / (1 - in_dtype(b2, float)) - 1
            rho = rho_inf - 2 * count.astype(float) * (1 - weight) / weight
            safe = jnp.where(rho > 4, rho, 5)  # the root of a negative number would be NaN, also in the branch not taken
            factor = (safe - 4) * (safe - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * safe)
            return rho >= jnp.asarray(threshold).astype(float), jnp.sqrt(factor).astype(dtype)  # which is above 0

    return rectify


@factory
def scale_by_radam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    threshold: float = 5.0,
    *,
    nesterov: bool = False,
    debias_eps: bool = False,
) -> GradientTransformation:
    """RAdam's rescaling: Adam's, with steps shortened while the mean square rests on few samples.

        m ← b1·m + (1−b1)·g              m̂ = m / (1−b1ᵗ)
        v ← b2·v + (1−b2)·|g|²           v̂ = v / (1−b2ᵗ)
        ρ∞ = 2/(1−b2) − 1                ρ = ρ∞ − 2t·b2ᵗ/(1−b2ᵗ)
        u = r·m̂ / (√(v̂ + eps_root) + eps)     where ρ ≥ threshold, with r² = (ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ)
        u = m̂                                 before that: the gradient's mean, not rescaled

    Args:
      b1, b2, eps, eps_root, nesterov: as in `scale_by_adam`.
      threshold: the ρ (an effective number of samples) from which on the mean square is trusted.
      debias_eps: whether the bias correction covers eps too, as in PyTorch; see `scale_by_adam`.

    References:
      Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020, https://arxiv.org/abs/1908.03265
    """

    @tree.lift
    def rule(g, m, v, *, debias1, next_debias1, debias2, trusted, rectification):
        g = squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        rescaling = rectification / (safe_sqrt(v / debias2 + eps_root) + eps)
        return debias_mean(g, m, b1, debias1, next_debias1, nesterov) * jnp.where(trusted, rescaling, 1), m, v

    rectify = rectifier(b2, threshold)

    def init(params: Params) -> ScaleByAdamState:
        return init_adam_state(params)

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)}, update_size=1.0)
    def update(updates: Updates, state: ScaleByAdamState, params: Params | None = None):
        count = safe_increment(state.count)
        weights = bias_corrections(b1, b2, count)
        trusted, rectification = rectify(count, weights["debias2"].dtype)
        if debias_eps:
            rectification, weights["debias2"] = rectification * safe_sqrt(weights["debias2"]), 1.0
        updates, mu, nu = rule(updates, state.mu, state.nu, **weights, trusted=trusted, rectification=rectification)
        return updates, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


@factory
def radam(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    threshold: float = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """RAdam: Adam with a warm-up that follows from the variance of its mean square.

        ρ = 2/(1−b2) − 1 − 2t·b2ᵗ/(1−b2ᵗ)
        Δp = −η·r·m̂ / (√(v̂ + eps_root) + eps)     where ρ ≥ threshold, with r as in `scale_by_radam`
        Δp = −η·m̂                                 before that

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, eps_root, threshold, nesterov: as in `scale_by_radam`.

    Conventions:
      The mean square is trusted where ρ ≥ 5, as in Optax; PyTorch asks for ρ > 5, and adds eps before the bias of v is
      corrected (`debias_eps` of `scale_by_radam`). Exactly its own is `interop.torch.radam`.

    References:
      Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020, https://arxiv.org/abs/1908.03265
    """
    return chain(scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov), scale_by_learning_rate(learning_rate))
