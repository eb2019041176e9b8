"""AdEMAMix (Pagliardini et al. 2024), and its simplified form (Morwani et al. 2025)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    at_step,
    chain,
    factory,
    tells,
)
from gradtx.numerics import Count, abs_sq, debias, safe_increment, safe_sqrt, squarable
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


class ScaleByAdemamixState(NamedTuple):
    """Steps taken, twice; the fast and the slow mean of the gradient, and the mean of its square."""

    count: Count
    count_m2: Count
    m1: Updates
    m2: Updates
    nu: Updates


class ScaleBySimplifiedAdEMAMixState(NamedTuple):
    """Steps taken, decaying sum of the gradient, mean of its square."""

    t: Count
    m: Updates
    n: Updates


@factory
def scale_by_ademamix(
    b1: float = 0.9,
    b2: float = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 6.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """AdEMAMix's rescaling: Adam's, with a second mean of the gradient that remembers far longer.

        m₁ ← b1·m₁ + (1−b1)·g            m̂₁ = m₁ / (1−b1ᵗ)
        m₂ ← b3·m₂ + (1−b3)·g
        v ← b2·v + (1−b2)·|g|²           v̂ = v / (1−b2ᵗ)
        u = (m̂₁ + alpha·m₂) / (√(v̂ + eps_root) + eps)

    The paper lets b3 and alpha grow from b1 and 0, so that the first steps do not stay in the slow mean:
    `ademamix_decay_schedule` and `ademamix_weight_schedule`.

    Args:
      b1: decay of the fast mean.
      b2: decay of the mean of the square.
      b3: decay of the slow mean, a number or a schedule.
      alpha: weight of the slow mean, a number or a schedule.
      eps, eps_root: as in `scale_by_adam`.
      mu_dtype: dtype in which m₁ and m₂ are kept; by default that of the parameters, float32 at least.

    References:
      Pagliardini, Ablin and Grangier, The AdEMAMix Optimizer: Better, Faster, Older, 2024, https://arxiv.org/abs/2409.03137
    """
    tree.check_moment_dtype(mu_dtype)

    @tree.lift
    def rule(g, m1, m2, v, *, b3, rest3, alpha, debias1, debias2):
        g = squarable(g)
        m1 = b1 * m1 + (1 - b1) * g
        m2 = b3 * m2 + rest3 * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        return (m1 / debias1 + alpha * m2) / (safe_sqrt(v / debias2 + eps_root) + eps), m1, m2, v

    def init(params: Params) -> ScaleByAdemamixState:
        return ScaleByAdemamixState(
            count=jnp.zeros((), jnp.int32),
            count_m2=jnp.zeros((), jnp.int32),
            m1=tree.moment_like(params, mu_dtype),
            m2=tree.moment_like(params, mu_dtype),
            nu=tree.moment_like(params, real=True),
        )

    @tells(decays={"m1": ("b1", b1), "m2": ("b3", b3), "nu": ("b2", b2)}, update_size=None if callable(alpha) else 1 + alpha)
    def update(updates: Updates, state: ScaleByAdemamixState, params: Params | None = None):
        count = safe_increment(state.count)
        b3_now = at_step(b3, state.count_m2)
        now = {"b3": b3_now, "rest3": 1 - b3_now, "alpha": at_step(alpha, state.count_m2)}  # 1 − b3 before it is a float32
        weights = {"debias1": debias(b1, count), "debias2": debias(b2, count)}
        updates, *moments = rule(updates, state.m1, state.m2, state.nu, **now, **weights)
        return updates, ScaleByAdemamixState(count, safe_increment(state.count_m2), *moments)

    return GradientTransformation(init, update)


@factory
def scale_by_simplified_ademamix(
    b1: float = 0.99, b2: float = 0.95, alpha: ScalarOrSchedule = 0.0, eps: float = 1e-8, eps_root: float = 0.0
) -> GradientTransformation:
    """Simplified AdEMAMix's rescaling: Adam's, with the gradient itself instead of AdEMAMix's fast mean.

        m ← b1·m + g
        n ← b2·n + (1−b2)·|g|²           n̂ = n / (1−b2ᵗ)
        u = (alpha·g + m) / (√(n̂ + eps_root) + eps)

    m is a sum, 1/(1−b1) times as large as a mean: the learning rate wants to be that much smaller than Adam's.

    Args:
      b1: decay of the sum of the gradient.
      b2: decay of the mean of its square.
      alpha: weight of the gradient itself, a number or a schedule.
      eps, eps_root: as in `scale_by_adam`.

    References:
      Morwani et al., Connections between Schedule-Free Optimizers, AdEMAMix, and Accelerated SGD Variants, 2025,
        https://arxiv.org/abs/2502.02431
    """

    @tree.lift
    def rule(g, m, n, *, alpha, debias2):
        g = squarable(g)
        m = b1 * m + g
        n = b2 * n + (1 - b2) * abs_sq(g)
        return (alpha * g + m) / (safe_sqrt(n / debias2 + eps_root) + eps), m, n

    def init(params: Params) -> ScaleBySimplifiedAdEMAMixState:
        return ScaleBySimplifiedAdEMAMixState(
            t=jnp.zeros((), jnp.int32),
            m=tree.moment_like(params),
            n=tree.moment_like(params, real=True),
        )

    def update(updates: Updates, state: ScaleBySimplifiedAdEMAMixState, params: Params | None = None):
        t = safe_increment(state.t)
        updates, m, n = rule(updates, state.m, state.n, alpha=at_step(alpha, state.t), debias2=debias(b2, t))
        return updates, ScaleBySimplifiedAdEMAMixState(t, m, n)

    return GradientTransformation(init, update)


@factory
def ademamix(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """AdEMAMix: AdamW with a second mean of the gradient that remembers far longer.

        Δp = −η·( (m̂₁ + alpha·m₂) / (√(v̂ + eps_root) + eps) + weight_decay·p )        see `scale_by_ademamix`

    The default alpha is 5, as in the paper; that of `scale_by_ademamix` is 6, as in Optax.

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, b3, alpha, eps, eps_root, mu_dtype: as in `scale_by_ademamix`.
      weight_decay, mask: as in `adamw`.

    References:
      Pagliardini, Ablin and Grangier, The AdEMAMix Optimizer: Better, Faster, Older, 2024, https://arxiv.org/abs/2409.03137
    """
    return chain(
        scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@factory
def simplified_ademamix(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.99,
    b2: float = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """Simplified AdEMAMix: a long sum of the gradient and the gradient itself, rescaled as in Adam.

        m ← b1·m + g
        Δp = −η·( (alpha·g + m) / (√(n̂ + eps_root) + eps) + weight_decay·p )

    Args:
      learning_rate: η, a number or a schedule; about (1−b1) times that of Adam.
      b1, b2, alpha, eps, eps_root: as in `scale_by_simplified_ademamix`.
      weight_decay, mask: as in `adamw`.

    References:
      Morwani et al., 2025, https://arxiv.org/abs/2502.02431
    """
    return chain(
        scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
