"""NAdam: Adam with Nesterov's momentum, constant or by a schedule (Dozat 2016)."""

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
    factory,
    tells,
)
from gradtx.numerics import Count, abs_sq, debias, safe_increment, safe_sqrt, squarable
from gradtx.optimizers.adam import adam, adamw, init_adam_state
from gradtx.require import NONNEGATIVE
from gradtx.tree.masks import Mask


class ScaleByNadamState(NamedTuple):
    """Steps taken, mean of the gradient, mean of its square, product of all momenta so far."""

    count: Count
    mu: Updates
    nu: Updates
    momentum_product: jax.Array


@factory(momentum_decay=NONNEGATIVE)
def scale_by_nadam(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, mu_dtype: DTypeLike | None = None, *, momentum_decay: float = 0.004
) -> GradientTransformation:
    """NAdam's rescaling: Adam's with Nesterov's momentum, which rises from half of b1 to b1 while training.

        m ← b1·m + (1−b1)·g
        v ← b2·v + (1−b2)·|g|²
        μₜ = b1·(1 − ½·0.96^(t·momentum_decay)),   Π ← Π·μₜ
        u = (μₜ₊₁·m/(1−Π·μₜ₊₁) + (1−μₜ)·g/(1−Π)) / (√(v/(1−b2ᵗ)) + eps)

    `scale_by_adam` with `nesterov` has the constant momentum b1, the limit of large `momentum_decay`.

    Args:
      b1: decay of the mean of the gradient, and the momentum in the end.
      b2, eps, mu_dtype: as in `scale_by_adam`.
      momentum_decay: how fast the momentum rises; 0.004 in PyTorch and in the paper, 1 in Keras.

    References:
      Dozat, Incorporating Nesterov Momentum into Adam, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """
    tree.check_moment_dtype(mu_dtype)

    @tree.lift
    def rule(g, m, v, *, m_weight, g_weight, debias2):
        g = squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        return (m_weight * m + g_weight * g) / (safe_sqrt(v / debias2) + eps), m, v

    def momentum(count: jax.Array) -> jax.Array:
        return b1 * (1 - 0.5 * 0.96 ** (count.astype(float) * momentum_decay))

    def init(params: Params) -> ScaleByNadamState:
        return ScaleByNadamState(*init_adam_state(params, mu_dtype), momentum_product=jnp.ones((), float))

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)}, update_size=1.0)
    def update(updates: Updates, state: ScaleByNadamState, params: Params | None = None):
        count = safe_increment(state.count)
        now, ahead = momentum(count), momentum(safe_increment(count))
        product = state.momentum_product * now
        weights = {"m_weight": ahead / (1 - product * ahead), "g_weight": (1 - now) / (1 - product)}
        updates, mu, nu = rule(updates, state.mu, state.nu, **weights, debias2=debias(b2, count))
        return updates, ScaleByNadamState(count, mu, nu, product)

    return GradientTransformation(init, update)


@factory
def nadam(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """NAdam: Adam with Nesterov's momentum, at constant b1.

        m̂ = b1·m / (1−b1ᵗ⁺¹) + (1−b1)·g / (1−b1ᵗ)

    Args:
      learning_rate, b1, b2, eps, eps_root, mu_dtype: as in `adam`.
      nesterov: False makes it `adam`.

    Conventions:
      The momentum is constant, as in Optax. In PyTorch and Keras it rises while training, by a schedule of the paper with the
      constants 0.004 and 1 (`scale_by_nadam`). Exactly theirs are `interop.torch.nadam` and `interop.keras.nadam`.

    References:
      Dozat, Incorporating Nesterov Momentum into Adam, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)


@factory
def nadamw(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask | None = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """NAdamW: `nadam` with decoupled weight decay.

    Args:
      learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask: as in `adamw`.
      nesterov: False makes it `adamw`.

    Conventions:
      As `nadam`; timm's NAdamW divides both m and g by 1−b1ᵗ, so its first steps are longer.

    References:
      Dozat, Incorporating Nesterov Momentum into Adam, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, https://arxiv.org/abs/1711.05101
    """
    return adamw(learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=nesterov)
