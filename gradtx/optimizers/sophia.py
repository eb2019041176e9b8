"""Sophia (Liu et al. 2023): steps in units of the curvature, clipped where it is not to be trusted."""

import math
from collections.abc import Callable
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
    ScalarOrSchedule,
    Transformation,
    Updates,
    chain,
    factory,
    forwards_to,
    tells,
    with_extra_args_support,
)
from gradtx.numerics import Count, debias, safe_increment
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree import mismatch
from gradtx.tree.masks import Mask
from gradtx.tree.randomness import as_key, split_key


class HutchinsonState(NamedTuple):
    """Key of the next random signs."""

    key: jax.Array


@factory
def hutchinson_estimator_diag_hessian(random_seed: jax.Array | int | None = None) -> GradientTransformationExtraArgs:
    """Hutchinson's estimate of the diagonal of the Hessian, which replaces the updates whatever they are.

        u = z ⊙ (∇²f(p) z),   z random signs

    It has no bias, much variance where the Hessian is not diagonal, and costs about two gradients. `update` reads `obj_fn=`,
    the objective f as a function of the parameters alone. On several devices each estimates the Hessian of its own f: let f be
    the loss of the whole batch.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      random_seed: key of the random signs, or the number to make it from; None for 0.

    References:
      Hutchinson, A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian Smoothing Splines, 1990,
        https://doi.org/10.1080/03610919008812866
      Bekas, Kokiopoulou and Saad, An Estimator for the Diagonal of a Matrix, 2007,
        https://doi.org/10.1016/j.apnum.2007.01.003
    """

    start = 0 if random_seed is None else random_seed

    @tree.lift
    def rule(g, z, hz):
        del g
        return jnp.real(jnp.conj(z) * hz)

    def init(params: Params) -> HutchinsonState:
        mismatch.check_params(params)
        return HutchinsonState(as_key(start))

    def update(updates: Updates, state: HutchinsonState, params: Params, *, obj_fn: Callable[[Params], Any]):
        next_key, [key] = split_key(state.key, start)
        signs = jax.tree.map(tree.varying_like, params, tree.random_like(key, params, jax.random.rademacher))
        with mismatch.explaining(p=params):
            _, curvature = jax.jvp(jax.grad(obj_fn), (params,), (signs,))
        return rule(updates, signs, curvature), HutchinsonState(next_key)

    return GradientTransformationExtraArgs(init, update)


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
    """Sophia's rescaling: the mean of the gradient over a mean of the diagonal of the Hessian, clipped.

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
    tree.check_moment_dtype(mu_dtype)
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
            mu=tree.moment_like(params, mu_dtype),
            nu=tree.moment_like(params, real=True),
            hessian_fn_state=hessian_diagonal_fn.init(params),
        )

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)})
    @forwards_to(hessian_diagonal_fn, states=lambda state: (state.hessian_fn_state,), wraps=False)
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


@factory(
    gamma=require.POSITIVE,
    clip_threshold=require.LIMIT,
    update_interval=require.AT_LEAST_ONE,
    print_win_rate_every_n_steps=require.NONNEGATIVE,
)
def sophia(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.965,
    b2: float = 0.99,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    weight_decay_mask: Mask | None = None,
    gamma: float = 0.01,
    clip_threshold: float | None = 1.0,
    update_interval: int = 10,
    hessian_diagonal_fn: Transformation = hutchinson_estimator_diag_hessian(),  # noqa: B008 - a value, without state
    mu_dtype: DTypeLike | None = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: int = 0,
) -> GradientTransformationExtraArgs:
    """Sophia: steps along the mean of the gradient over a mean of the diagonal of the Hessian, clipped.

        h ← b2·h + (1−b2)·ĥ                  every update_interval steps
        Δp = −η·( clip(m̂ / max(gamma·h, eps), ±clip_threshold) + weight_decay·p )

    Pass the objective, a function of the parameters alone, in each step:

        updates, state = optimizer.update(grads, state, params, obj_fn=lambda params: loss(params, batch))

    Outside of `jit` a new lambda compiles again; `obj_fn=jax.tree_util.Partial(loss_of_batch, batch)`, a function with the
    arrays it is applied to first, does not.

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, gamma, clip_threshold, update_interval, hessian_diagonal_fn, mu_dtype, verbose, print_win_rate_every_n_steps:
        as in `scale_by_sophia`.
      weight_decay, weight_decay_mask: as `weight_decay` and `mask` of `adamw`.

    References:
      Liu et al., 2023, https://arxiv.org/abs/2305.14342
    """
    rescale = scale_by_sophia(
        hessian_diagonal_fn,
        b1,
        b2,
        eps,
        gamma,
        clip_threshold,
        update_interval,
        mu_dtype,
        verbose,
        print_win_rate_every_n_steps,
    )
    return chain(rescale, add_decayed_weights(weight_decay, weight_decay_mask), scale_by_learning_rate(learning_rate))
