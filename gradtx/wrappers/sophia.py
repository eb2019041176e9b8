"""Sophia (Liu et al. 2023): steps in units of the curvature, clipped where it is not to be trusted."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import require, tree
from gradtx.compiled import compiled, keep_dtypes
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
from gradtx.numerics import Count, debias, safe_increment


class SophiaState(NamedTuple):
    """Steps taken, mean of the gradient, mean of the diagonal of the Hessian, and the state of its estimator."""

    count: Count
    mu: Updates
    nu: Updates
    hessian_fn_state: OptState


@factory(
    gamma=require.POSITIVE,
    clip_threshold=require.LIMIT,
    update_interval=require.AT_LEAST_ONE,
    print_win_rate_every_n_steps=require.NONNEGATIVE,
)
def scale_by_sophia(
    hessian_diagonal_fn: Transformation,
    b1: float = 0.965,
    b2: float = 0.99,
    eps: float = 1e-8,
    gamma: float = 0.01,
    clip_threshold: float | None = 1.0,
    update_interval: int = 10,
    mu_dtype: DTypeLike | None = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: int = 0,
) -> GradientTransformationExtraArgs:
    """Divide the mean of the gradient by a mean of the diagonal of the Hessian, and clip what comes out.

        m ← b1·m + (1−b1)·g                        m̂ = m / (1−b1ᵗ)
        u = clip(m̂ / max(gamma·h, eps), ±clip_threshold)
        h ← b2·h + (1−b2)·ĥ                        in the steps 1, 1 + update_interval, ...

    As in the authors' code, a step uses the h of the steps before: the first is a sign. Where the curvature is negative, eps
    takes its place and the step is clipped.

    Args:
      hessian_diagonal_fn: a transformation that replaces the updates by an estimate ĥ of the diagonal of the Hessian, such
        as `hutchinson_estimator_diag_hessian()`; the extra arguments of `update` are handed on to it.
      b1: decay of the mean of the gradient.
      b2: decay of the mean of the estimates.
      eps: the least denominator.
      gamma: how large a part of the coordinates is not clipped: the larger, the more.
      clip_threshold: largest magnitude of a coordinate; None clips nothing.
      update_interval: how many steps there are from one estimate to the next.
      mu_dtype: dtype in which m is kept; by default that of the parameters, float32 at least.
      verbose: whether to print the win rate, the part of the coordinates that is not clipped.
      print_win_rate_every_n_steps: how many steps there are from one print to the next; 0 is as 1.

    References:
      Liu et al., Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training, 2023,
        https://arxiv.org/abs/2305.14342
    """
    tree.check_moment_dtype("scale_by_sophia", mu_dtype)
    hessian_diagonal_fn = with_extra_args_support(hessian_diagonal_fn)
    threshold = math.inf if clip_threshold is None else clip_threshold

    def ratio(m, h, debias1):
        return m / debias1 / jnp.maximum(gamma * h, eps)

    @tree.lift
    def rule(g, m, h, *, debias1):
        m = b1 * m + (1 - b1) * g
        return jnp.clip(ratio(m, h, debias1), -threshold, threshold), m

    @tree.lift(like="h")
    def average(estimate, h):
        return b2 * h + (1 - b2) * estimate

    @tree.lift
    def inside(m, h, *, debias1):
        return jnp.abs(ratio(m, h, debias1)) < threshold

    def init(params: Params) -> SophiaState:
        return SophiaState(
            count=jnp.zeros((), jnp.int32),
            mu=tree.moment_like("scale_by_sophia", params, mu_dtype),
            nu=tree.moment_like("scale_by_sophia", params, real=True),
            hessian_fn_state=hessian_diagonal_fn.init(params),
        )

    @forwards_to(hessian_diagonal_fn, states=lambda state: (state.hessian_fn_state,))
    @compiled
    def update(updates: Updates, state: SophiaState, params: Params | None = None, **extra_args: Any):
        def estimate():
            diagonal, inner_state = hessian_diagonal_fn.update(updates, state.hessian_fn_state, params, **extra_args)
            return average(diagonal, state.nu), keep_dtypes(inner_state, state.hessian_fn_state)

        def keep():
            return state.nu, state.hessian_fn_state

        nu, inner_state = jax.lax.cond(state.count % update_interval == 0, estimate, keep)
        count = safe_increment(state.count)
        debias1 = debias(b1, count)
        updates, mu = rule(updates, state.mu, state.nu, debias1=debias1)
        if verbose:
            print_win_rate(count, tree.sum(inside(mu, state.nu, debias1=debias1)) / max(tree.size(mu), 1))
        return updates, SophiaState(count, mu, nu, inner_state)

    def print_win_rate(count: Count, rate: jax.Array) -> None:
        due = count % max(print_win_rate_every_n_steps, 1) == 0
        jax.lax.cond(due, lambda: jax.debug.print("Sophia optimizer win rate: {}", rate), lambda: None)

    return GradientTransformationExtraArgs(init, update)
