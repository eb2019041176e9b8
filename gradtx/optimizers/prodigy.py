"""Prodigy (Mishchenko & Defazio 2023): D-Adaptation whose estimate grows faster."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.core import GradientTransformation, Params, ScalarOrSchedule, Updates, factory, tells
from gradtx.numerics import Count, abs_sq, clipped_to_finite, safe_increment, safe_sqrt
from gradtx.optimizers.dadapt import adapted_rate, check_betas, inner_product, raised, squarable_updates
from gradtx.optimizers.dog import displacement
from gradtx.tree import mismatch
from gradtx.tree.dtypes import working_dtype
from gradtx.tree.masks import Mask, check_mask, evaluate_mask, fill_masked


class ProdigyState(NamedTuple):
    """Means of d·g and of its square, sum s, the start, the estimate d, its numerator, and steps taken."""

    exp_avg: Updates
    exp_avg_sq: Updates
    grad_sum: Updates
    params0: Params
    estim_lr: jax.Array
    numerator_weighted: jax.Array
    count: Count


@factory(beta3=require.DECAY, estim_lr0=require.POSITIVE, estim_lr_coef=require.POSITIVE)
def prodigy(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: tuple[float, float] = (0.9, 0.999),
    beta3: float | None = None,
    eps: float = 1e-8,
    estim_lr0: float = 1e-6,
    estim_lr_coef: float = 1.0,
    weight_decay: float = 0.0,
    safeguard_warmup: bool = False,
    weight_decay_mask: Mask | None = None,
) -> GradientTransformation:
    """Prodigy: AdamW at a learning rate d that is estimated from below, by how far the start is along the gradients.

        λ = d·η·√(1−b2ᵗ)/(1−b1ᵗ)
        r ← beta3·r + d/d₀·λ·⟨g, p₀ − p⟩
        s ← beta3·s + d/d₀·λ·g
        m ← b1·m + (1−b1)·d·g
        v ← b2·v + (1−b2)·|d·g|²
        d ← max(d, estim_lr_coef·r/‖s‖₁)
        Δp = −λ·( m/(√v + d·eps) + weight_decay·p )

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule around 1; the authors suggest a cosine decay.
      betas: b1 and b2, decays of the mean of the gradient and of its square.
      beta3: decay of r and s; by default √b2.
      eps: added to the root of v, in units of d.
      estim_lr0: d₀, the estimate at the start, which is to be below the right one.
      estim_lr_coef: what the estimate is multiplied by: the way to make it larger or smaller.
      weight_decay, weight_decay_mask: as `weight_decay` and `mask` of `adamw`.
      safeguard_warmup: whether s leaves η out, d instead of λ, so that a warm-up does not inflate the estimate.

    Raises:
      ValueError: a decay is not in [0, 1), or a number is out of its range.

    Conventions:
      The bias of the means is always corrected, as in Optax. The authors' package, prodigyopt, moves so to rounding with
      `use_bias_correction=True`; by default it does not correct, and parts from this by 96 % of the movement in 100 steps of a
      test.

    References:
      Mishchenko and Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, 2023,
        https://arxiv.org/abs/2306.06101
    """
    check_betas(betas)
    check_mask(weight_decay_mask)
    b1, b2 = betas
    decay = b2**0.5 if beta3 is None else beta3

    @tree.lift(like="m v s")
    def accumulate(g, m, v, s, *, estim_lr, weight):
        m = b1 * m + (1 - b1) * estim_lr * g
        v = b2 * v + (1 - b2) * clipped_to_finite(abs_sq(estim_lr * g))
        return m, v, decay * s + weight * g

    @tree.lift
    def step(g, m, v, p, *, rate, least):
        del g
        return -rate * (m / (safe_sqrt(v) + least) + weight_decay * p)

    def init(params: Params) -> ProdigyState:
        dtype = working_dtype(jax.tree.leaves(params))
        return ProdigyState(
            exp_avg=tree.moment_like(params),
            exp_avg_sq=tree.moment_like(params, real=True),
            grad_sum=tree.moment_like(params),
            params0=tree.copy_of(params),
            estim_lr=jnp.array(estim_lr0, dtype),
            numerator_weighted=jnp.zeros((), dtype),
            count=jnp.zeros((), jnp.int32),
        )

    @tells(precise=("params0",), update_size=estim_lr0, factor=learning_rate)
    def update(updates: Updates, state: ProdigyState, params: Params):
        d = state.estim_lr
        updates = squarable_updates(updates)
        rate = adapted_rate(learning_rate, d, b1, b2, state.count)
        growth = d / jnp.asarray(estim_lr0, d.dtype)
        way = displacement(state.params0, params)
        with mismatch.explaining(g=updates, p=params):
            progress = -inner_product(updates, way, d.dtype)
        numerator = decay * state.numerator_weighted + growth * rate * progress
        weight = growth * (d if safeguard_warmup else rate)
        mu, nu, s = accumulate(updates, state.exp_avg, state.exp_avg_sq, state.grad_sum, estim_lr=d, weight=weight)
        d = raised(d, estim_lr_coef * numerator, tree.norm(s, ord=1).astype(d.dtype))
        updates = step(updates, mu, nu, _only(weight_decay_mask, params), rate=rate, least=d * eps)
        return updates, ProdigyState(mu, nu, s, state.params0, d, numerator, safe_increment(state.count))

    return GradientTransformation(init, update)


def _only(mask: Mask | None, params: Params) -> Any:
    """The parameters, with 0 for those that do not decay."""
    if mask is None:
        return params
    return fill_masked(evaluate_mask(mask, params), params, tree.zeros_like(params))
