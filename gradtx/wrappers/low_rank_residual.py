"""Fira (Chen et al. 2024): low rank, and what lies outside of the subspace with the norms of the steps inside."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.compiled import compiled
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    tells,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment, safe_sqrt
from gradtx.require import AT_LEAST_ONE, NONNEGATIVE
from gradtx.tree.layout import all_gathered, reshard_like
from gradtx.tree.matrix_norms import kept_from_growing, no_norms, norms, ratio_of_norms, times
from gradtx.tree.scopes import nothing_placed
from gradtx.wrappers.subspaces import (
    chosen_directions,
    init_inside,
    laid_out_as,
    matrices_of,
    on_rows,
    out_of,
    project,
    update_inside,
    zero_projector,
)


class LowRankWithResidualState(NamedTuple):
    """Steps taken, the inner state, the directions it sees, and the norms of the last residuals; (1, 1) if not a matrix."""

    count: Count
    inner_state: OptState
    projector: Updates
    norms: Updates


@factory(rank=AT_LEAST_ONE, update_proj_gap=AT_LEAST_ONE, max_growth=AT_LEAST_ONE, eps=NONNEGATIVE)
def low_rank_with_residual(
    inner: Transformation,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
    *,
    max_growth: float | None = 1.01,
    eps: float = 1e-8,
) -> GradientTransformationExtraArgs:
    """Fira's low rank: `inner` in the leading directions, and the rest of the gradient as long as its steps are there.

        every update_proj_gap steps: P ← U[:, :rank]        of G = UΣVᵀ
        R = Pᵀ·G
        s = ‖inner(R)‖ / (‖R‖ + eps)                        for each column
        D = (G − scale·P·R)·s
        D ← D·min(1, max_growth·(‖last D‖ + eps) / ‖D‖)
        u = scale·P·inner(R) + D

    This is for a wide matrix; of a tall one P ← V[:, :rank], R = G·P, and each row has its s. The updates are of full rank,
    with the state of `low_rank(..., side="short")` and one number more for each matrix. What is not a matrix goes to `inner` as
    it is. P is found, and shared out to devices, as in `low_rank`. Meta-gradients take it for a constant.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      inner: a transformation that does not read the parameters, which have no place in the subspace; weight decay comes after.
      rank: how many directions are kept, at most all.
      update_proj_gap: steps from one choice of directions to the next.
      scale: factor of what comes back from the subspace.
      weight_dimension_numbers: which arrays are matrices, and of which axes; see `low_rank`. By default those of two axes.
      max_growth: how many times as long as the last one a residual may be; None for no bound.
      eps: keeps what is divided by above 0.

    Conventions:
      In the authors' package, after a residual of 0 the next may have the norm `max_growth`·`eps`, and grows from there; here
      it is free, as the first one is.

    Raises:
      ValueError: a number is out of its range, or an array has other axes than said.

    References:
      Chen et al., Fira: Can We Achieve Full-rank Training of LLMs Under Low-rank Constraint?, 2024,
        https://arxiv.org/abs/2410.01623
    """
    inner = with_extra_args_support(inner)

    @tree.lift(like="g last", same_shapes=False)
    def rule(g, low, step, projector, last):
        whole = all_gathered(g)
        axes = (-2,) if on_rows(whole, projector) else (-1,)
        factor = ratio_of_norms(step, low, axes, eps)
        if max_growth is not None:
            limit, last = kept_from_growing(norms(factor * _norms_outside(whole, low, axes, scale)), last, max_growth, eps)
            factor = factor * limit
        # One product of matrices, for what is inside and what is taken from the gradient.
        inside = out_of(step - times(low, factor), projector, whole)
        return reshard_like(g, times(whole, factor) + scale * inside), last

    def init(params: Params) -> LowRankWithResidualState:
        matrices = matrices_of(tree.moment_like(params), weight_dimension_numbers)
        projector = matrices.of_each(lambda zero: zero_projector(zero, rank, "short"))
        inner_state = init_inside(inner, matrices, rank, "short")
        return LowRankWithResidualState(jnp.zeros((), jnp.int32), inner_state, projector, matrices.of_each(no_norms))

    @tells(precise=("norms",))
    @forwards_to(inner, changes_updates=True, whole_matrices=True)
    @compiled
    def update(updates: Updates, state: LowRankWithResidualState, params: Params | None = None, **extra_args: Any):
        matrices = matrices_of(updates, weight_dimension_numbers)
        with nothing_placed():
            projector = chosen_directions(matrices, state.projector, state.count % update_proj_gap == 0)
            low = matrices.same_on_all(project(matrices.whole, projector))
        steps, low_steps, inner_state = update_inside(inner, matrices, low, state.inner_state, extra_args)
        with nothing_placed():
            new, last = rule(matrices.whole, low, low_steps, projector, state.norms)
        new_state = LowRankWithResidualState(safe_increment(state.count), inner_state, projector, matrices.same_on_all(last))
        return matrices.put_back(new, steps, updates), laid_out_as(state, new_state)

    return GradientTransformationExtraArgs(init, update)


def _norms_outside(g: jax.Array, low: jax.Array, axes: tuple[int, ...], scale: Any) -> jax.Array:
    """‖G − scale·P·R‖ along some axes, by Pythagoras, as the directions are orthonormal: without another matrix."""
    size = norms(g, axes)
    part = norms(low, axes) / jnp.where(size > 0, size, 1)
    return size * safe_sqrt(jnp.maximum(1 - scale * (2 - scale) * part**2, 0))
