"""D-Adaptation for AdamW (Defazio & Mishchenko 2023): the learning rate is estimated on the way."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.core import GradientTransformation, Params, ScalarOrSchedule, Updates, at_step, factory
from gradtx.numerics import Count, abs_sq, debias, safe_increment, safe_sqrt, squarable
from gradtx.tree import mismatch
from gradtx.tree.dtypes import working_dtype


class DAdaptAdamWState(NamedTuple):
    """Means of the step and of the square of the gradient, mean s, the estimate d, its numerator, and steps taken."""

    exp_avg: Updates
    exp_avg_sq: Updates
    grad_sum: Updates
    estim_lr: jax.Array
    numerator_weighted: jax.Array
    count: Count


@factory(estim_lr0=require.POSITIVE)
def dadapt_adamw(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    estim_lr0: float = 1e-6,
    weight_decay: float = 0.0,
) -> GradientTransformation:
    """D-Adaptation for AdamW: the learning rate d is estimated from below, by how far the steps went along the gradients.

        λ = d·η·√(1−b2ᵗ)/(1−b1ᵗ)                  b = √b2
        r ← b·r + (1−b)·λ·⟨g, s/(√v + eps)⟩        with s and v as they were
        s ← b·s + (1−b)·λ·g
        m ← b1·m + (1−b1)·λ·g
        v ← b2·v + (1−b2)·|g|²
        d ← max(d, r / ((1−b)·‖s‖₁))
        Δp = −m/(√v + eps) − λ·weight_decay·p

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule around 1.
      betas: b1 and b2, decays of the mean of the step and of the square of the gradient.
      eps: added to the root of v.
      estim_lr0: d at the start, which is to be below the right one.
      weight_decay: fraction of the parameters in a step, before the learning rate.

    Raises:
      ValueError: a decay is not in [0, 1), or a number is out of its range.

    Conventions:
      The bias of the means is always corrected, as in Optax. The authors' package, dadaptation, moves so to rounding with
      `DAdaptAdam(decouple=True, use_bias_correction=True)`; by default it does not correct, and parts from this by 80 % of the
      movement in 100 steps of a test.

    References:
      Defazio and Mishchenko, Learning-Rate-Free Learning by D-Adaptation, 2023, https://arxiv.org/abs/2301.07733
    """
    check_betas(betas)
    b1, b2 = betas
    decay = b2**0.5
    rest = (1 - b2) / (1 + decay)  # 1 − decay, which cancels where b2 is a float32

    @tree.lift
    def direction(s, v):
        return s / (safe_sqrt(v) + eps)

    @tree.lift
    def rule(g, m, v, s, p, *, rate):
        m = b1 * m + (1 - b1) * rate * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        s = decay * s + rest * rate * g
        return -m / (safe_sqrt(v) + eps) - rate * weight_decay * p, m, v, s

    def init(params: Params) -> DAdaptAdamWState:
        dtype = working_dtype(jax.tree.leaves(params))
        return DAdaptAdamWState(
            exp_avg=tree.moment_like(params),
            exp_avg_sq=tree.moment_like(params, real=True),
            grad_sum=tree.moment_like(params),
            estim_lr=jnp.array(estim_lr0, dtype),
            numerator_weighted=jnp.zeros((), dtype),
            count=jnp.zeros((), jnp.int32),
        )

    def update(updates: Updates, state: DAdaptAdamWState, params: Params):
        rate = adapted_rate(learning_rate, state.estim_lr, b1, b2, state.count)
        updates = squarable_updates(updates)
        with mismatch.explaining(g=updates, p=params):
            progress = inner_product(updates, direction(state.grad_sum, state.exp_avg_sq), rate.dtype)
        numerator = decay * state.numerator_weighted + rest * rate * progress
        updates, mu, nu, s = rule(updates, state.exp_avg, state.exp_avg_sq, state.grad_sum, params, rate=rate)
        estim_lr = raised(state.estim_lr, numerator, rest * tree.norm(s, ord=1).astype(rate.dtype))
        return updates, DAdaptAdamWState(mu, nu, s, estim_lr, numerator, safe_increment(state.count))

    return GradientTransformation(init, update)


# --- what Prodigy shares ----------------------------------------------------------------------------------------------


def check_betas(betas: tuple[Any, Any]) -> None:
    """Raise `ValueError` unless both are decays."""
    for k, beta in enumerate(betas):
        require.in_range(f"betas[{k}]", beta, require.DECAY)


def adapted_rate(learning_rate: ScalarOrSchedule, estim_lr: jax.Array, b1: Any, b2: Any, count: Count) -> jax.Array:
    """Return d·η·√(1−b2ᵗ)/(1−b1ᵗ) of the step after `count`: Adam's rate with the weights of its means in it."""
    dtype, next_count = estim_lr.dtype, safe_increment(count)
    rate = jnp.asarray(at_step(learning_rate, count), dtype)
    return estim_lr * rate * (jnp.sqrt(debias(b2, next_count)) / debias(b1, next_count)).astype(dtype)


@tree.lift
def squarable_updates(g):
    """The gradient as a rule can square it, for all that is formed of it."""
    return squarable(g)


def inner_product(tree_x: Any, tree_y: Any, dtype: Any) -> jax.Array:
    """Return ⟨x, y⟩, where a complex number counts as a pair of real ones."""
    return jnp.real(tree.vdot(tree_x, tree_y)).astype(dtype)


def raised(estim_lr: jax.Array, numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """Return the larger of the estimate and of the fraction: of the estimate alone before any gradient, and after overflow."""
    usable = (denominator > 0) & jnp.isfinite(numerator)
    return jnp.maximum(estim_lr, jnp.where(usable, numerator, 0) / jnp.where(usable, denominator, 1))
