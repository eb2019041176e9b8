"""Momo and Momo-Adam (Schaipp et al. 2024): a step that a model of the loss bounds."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.core import GradientTransformationExtraArgs, Params, ScalarOrSchedule, Updates, at_step, factory
from gradtx.numerics import Count, abs_sq, debias, safe_increment, safe_sqrt, squarable
from gradtx.tree import mismatch
from gradtx.tree.dtypes import working_dtype


class MomoState(NamedTuple):
    """Means of the gradient, of the loss and of ⟨gradient, params⟩, the lower bound of the loss, steps taken."""

    exp_avg: Updates
    barf: jax.Array
    gamma: jax.Array
    lb: jax.Array
    count: Count


class MomoAdamState(NamedTuple):
    """As `MomoState`, with the mean of the square of the gradient."""

    exp_avg: Updates
    exp_avg_sq: Updates
    barf: jax.Array
    gamma: jax.Array
    lb: jax.Array
    count: Count


@factory(beta=require.DECAY)
def momo(
    learning_rate: ScalarOrSchedule = 1.0,
    beta: float = 0.9,
    lower_bound: float = 0.0,
    weight_decay: float = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformationExtraArgs:
    """Momo: momentum with a step at most to where a linear model of the loss reaches its lower bound.

        d ← beta·d + (1−beta)·g,  and so f̄ of the loss and γ of ⟨g, p⟩; the first of each as they are
        τ = min(η, max((1 + η·weight_decay)·(f̄ − γ − lower_bound) + ⟨d, p⟩, 0) / ‖d‖²)
        p ← (p − τ·d) / (1 + η·weight_decay)

    `update` reads `value=`, the loss at the parameters.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, the largest step size, a number or a schedule.
      beta: decay of the means.
      lower_bound: the least that the loss can be.
      weight_decay: of the parameters, by a proximal step.
      adapt_lower_bound: whether a larger bound is estimated on the way.

    Raises:
      ValueError: a number is out of its range, or `value` is not a scalar.

    Conventions:
      The means start at the first values, with no correction for bias, as in Optax and by default in the authors' package,
      momo-opt. Its `bias_correction=True` starts them at 0 and takes another path. `adapt_lower_bound` is its `use_fstar`.

    References:
      Schaipp et al., MoMo: Momentum Models for Adaptive Learning Rates, 2024, https://arxiv.org/abs/2305.07583
    """
    observe = _model(weight_decay, lower_bound, adapt_lower_bound)

    @tree.lift(like="d")
    def average(g, d, *, keep, rest):
        return keep * d + rest * g

    @tree.lift
    def step(g, d, p, *, tau, rate):
        del g
        return _proximal(p, tau * d, rate * weight_decay)

    def init(params: Params) -> MomoState:
        return MomoState(tree.moment_like(params), **_start(params, lower_bound))

    def update(updates: Updates, state: MomoState, params: Params, *, value: Any):
        require.scalar("value", value)
        first = state.count == 0
        keep, rest = jnp.where(first, 0, beta), jnp.where(first, 1, 1 - beta)
        exp_avg = average(updates, state.exp_avg, keep=keep, rest=rest)
        rate = _rate(learning_rate, state)
        with mismatch.explaining(g=updates, p=params):
            visible, visible_params = _where_moved(updates, exp_avg), _where_moved(updates, params)
            slope, ahead = _inner(updates, visible_params), _inner(visible, visible_params)
        norm = tree.norm(visible)
        tau, barf, gamma, lb = observe(
            rate, state.barf, state.gamma, state.lb, value=value, keep=keep, rest=rest, rho=1.0,
            slope=slope, ahead=ahead, norm=norm, dual_norm=norm,
        )  # fmt: skip
        updates = step(updates, exp_avg, params, tau=tau, rate=rate)
        return updates, MomoState(exp_avg, barf, gamma, lb, safe_increment(state.count))

    return GradientTransformationExtraArgs(init, update)


@factory
def momo_adam(
    learning_rate: ScalarOrSchedule = 1e-2,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    lower_bound: float = 0.0,
    weight_decay: float = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformationExtraArgs:
    """Momo-Adam: Adam with a step at most to where a linear model of the loss reaches its lower bound.

        d ← b1·d + (1−b1)·g,  and so f̄ of the loss and γ of ⟨g, p⟩;  v ← b2·v + (1−b2)·|g|²
        D = √(v/(1−b2ᵗ)) + eps                   ρ = 1−b1ᵗ
        τ = min(η/ρ, max((1 + η·weight_decay)·(f̄ − γ − ρ·lower_bound) + ⟨d, p⟩, 0) / ⟨d, d/D⟩)
        p ← (p − τ·d/D) / (1 + η·weight_decay)

    `update` reads `value=`, the loss at the parameters.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate, lower_bound, weight_decay, adapt_lower_bound: as in `momo`.
      b1, b2, eps: as in `scale_by_adam`; b1 for all three means.

    Conventions:
      As `MomoAdam` of the authors' package, momo-opt; `adapt_lower_bound` is its `use_fstar`.

    References:
      Schaipp et al., MoMo: Momentum Models for Adaptive Learning Rates, 2024, https://arxiv.org/abs/2305.07583
    """
    observe = _model(weight_decay, lower_bound, adapt_lower_bound)

    def precondition(d, v, debias2):
        return d / (safe_sqrt(v / debias2) + eps)

    @tree.lift
    def average(g, d, v):
        g = squarable(g)
        return g, b1 * d + (1 - b1) * g, b2 * v + (1 - b2) * abs_sq(g)

    @tree.lift
    def preconditioned(d, v, *, debias2):
        return precondition(d, v, debias2)

    @tree.lift
    def step(g, d, v, p, *, tau, rate, debias2):
        del g
        return _proximal(p, tau * precondition(d, v, debias2), rate * weight_decay)

    def init(params: Params) -> MomoAdamState:
        exp_avg, exp_avg_sq = tree.moment_like(params), tree.moment_like(params, real=True)
        return MomoAdamState(exp_avg, exp_avg_sq, **_start(params, lower_bound))

    def update(updates: Updates, state: MomoAdamState, params: Params, *, value: Any):
        require.scalar("value", value)
        count = safe_increment(state.count)
        updates, exp_avg, exp_avg_sq = average(updates, state.exp_avg, state.exp_avg_sq)
        rate, debias2 = _rate(learning_rate, state), debias(b2, count)
        with mismatch.explaining(g=updates, p=params):
            visible, visible_params, visible_sq = (_where_moved(updates, each) for each in (exp_avg, params, exp_avg_sq))
            slope, ahead = _inner(updates, visible_params), _inner(visible, visible_params)
        tau, barf, gamma, lb = observe(
            rate, state.barf, state.gamma, state.lb, value=value, keep=b1, rest=1 - b1, rho=debias(b1, count),
            slope=slope, ahead=ahead,
            norm=_inner(visible, preconditioned(visible, visible_sq, debias2=debias2)), dual_norm=1.0,
        )  # fmt: skip
        updates = step(updates, exp_avg, exp_avg_sq, params, tau=tau, rate=rate, debias2=debias2)
        return updates, MomoAdamState(exp_avg, exp_avg_sq, barf, gamma, lb, count)

    return GradientTransformationExtraArgs(init, update)


def _model(weight_decay: float, lower_bound: float, adapt_lower_bound: bool) -> Callable[..., Any]:
    """The model of the loss: what bounds the step size, and what is kept of it."""

    @tree.lift
    def model(rate, barf, gamma, lb, *, value, slope, ahead, norm, dual_norm, keep, rest, rho):
        barf = keep * barf + rest * value
        gamma = keep * gamma + rest * slope
        shrink = 1 + rate * weight_decay
        predicted = shrink * (barf - gamma) + ahead
        if adapt_lower_bound:
            lb = jnp.where(predicted < shrink * rho * lb, jnp.maximum(predicted / (2 * shrink * rho), lower_bound), lb)
        gap = jnp.maximum(predicted - shrink * rho * lb, 0)
        # Without a direction the rate alone bounds the step; two divisions, as the product of the norms may overflow.
        flat = norm * dual_norm == 0
        tau = jnp.minimum(rate / rho, jnp.where(flat, jnp.inf, gap / jnp.where(flat, 1, norm) / jnp.where(flat, 1, dual_norm)))
        if adapt_lower_bound:
            lb = jnp.maximum((barf + ahead - gamma - tau * norm * dual_norm / 2) / rho, lower_bound)
        return tau, barf, gamma, lb

    return model


def _start(params: Params, lower_bound: float) -> dict[str, jax.Array]:
    """The scalars of the state before the first step."""
    dtype = working_dtype(jax.tree.leaves(params))
    return {
        "barf": jnp.zeros((), dtype),
        "gamma": jnp.zeros((), dtype),
        "lb": jnp.array(lower_bound, dtype),
        "count": jnp.zeros((), jnp.int32),
    }


def _rate(learning_rate: ScalarOrSchedule, state: Any) -> jax.Array:
    rate = at_step(learning_rate, state.count)
    return jnp.asarray(rate, state.barf.dtype)


def _where_moved(updates: Updates, each: Any) -> Any:
    """A tree with holes where the updates have them."""
    return tree.map_leaves(lambda g, x: x, updates, each)


def _inner(x: Any, y: Any) -> jax.Array:
    return jnp.real(tree.vdot(x, y))


def _proximal(p, step, pull):
    """The update to (p − step)/(1 + pull)."""
    return -(step + pull * p) / (1 + pull)
