"""APOLLO (Zhu et al. 2024): gradients with the norms that an optimizer's steps have in a random subspace."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

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
from gradtx.numerics import Count, safe_increment
from gradtx.require import AT_LEAST_ONE, NONNEGATIVE
from gradtx.tree.layout import all_gathered, reshard_like
from gradtx.tree.matrix_norms import kept_from_growing, no_norms, norms, ratio_of_norms, times
from gradtx.tree.randomness import as_key, folded_key, one_key
from gradtx.tree.scopes import nothing_placed
from gradtx.wrappers.subspaces import (
    init_inside,
    laid_out_as,
    matrices_of,
    on_rows,
    project,
    random_directions,
    update_inside,
)


class ScaleByLowRankNormsState(NamedTuple):
    """Steps taken, the integers of a key, the inner state, and the norms of the last matrices D, each (1, 1)."""

    count: Count
    rng_key: jax.Array
    inner_state: OptState
    norms: Updates


@factory(rank=AT_LEAST_ONE, update_proj_gap=AT_LEAST_ONE, scale=NONNEGATIVE, max_growth=AT_LEAST_ONE, eps=NONNEGATIVE)
def scale_by_low_rank_norms(
    inner: Transformation,
    rank: int = 256,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
    *,
    per: Literal["channel", "matrix"] = "channel",
    max_growth: float | None = 1.01,
    eps: float = 1e-8,
    key: jax.Array | int | None = None,
    seed: int | None = None,
) -> GradientTransformationExtraArgs:
    """APOLLO's rescaling: gradients, each channel as long as the step of `inner` is in a random subspace.

        R = Pᵀ·G                    P random normal, of variance 1/rank, drawn anew every update_proj_gap steps
        s = ‖inner(R)‖ / (‖R‖ + eps)             for each column, or for the matrix
        D = G·s
        D ← D·min(1, max_growth·(‖last D‖ + eps) / ‖D‖)
        u = √scale·D

    This is for a wide matrix; of a tall one the columns are projected, R = G·P, and each row has its s. Like SGD it keeps no
    mean of all entries: the state is that of `inner` for R, whose short side is `rank`. P is not kept, but drawn again at each
    step. What is not a matrix goes to `inner` as it is.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      inner: a transformation that does not read the parameters, which have no place in the subspace; weight decay comes after.
      rank: how many directions P has, at most all.
      update_proj_gap: steps from one P to the next.
      scale: the square of a factor of the updates of matrices; the smaller `rank`, the larger it should be.
      weight_dimension_numbers: which arrays are matrices, and of which axes; see `low_rank`. By default those of two axes.
      per: whether each column, or row, has a factor of its own, or each matrix.
      max_growth: how many times as long as the last one a matrix D may be; None for no bound.
      eps: keeps what is divided by above 0.
      key: key of the random numbers, or the number to make it from; 0 by default, so that each run draws the same.
      seed: another word for `key`, a number.

    Conventions:
      In the authors' package, after a D of 0 the next may have the norm `max_growth`·`eps`, and grows from there; here it
      is free, as the first one is.

    Raises:
      ValueError: a number is out of its range, or `per` is another word; both `key` and `seed` are given; an array has other
        axes than said.

    References:
      Zhu et al., APOLLO: SGD-like Memory, AdamW-level Performance, 2024, https://arxiv.org/abs/2412.05270
      Chen et al., Fira, 2024, https://arxiv.org/abs/2410.01623 (the bound on the growth of norms)
    """
    inner = with_extra_args_support(inner)
    start = one_key("scale_by_low_rank_norms", key, seed, default=0)

    @tree.lift(like="g last", same_shapes=False)
    def rule(g, low, step, projector, last, *, root):
        whole = all_gathered(g)
        axes = (-2, -1) if per == "matrix" else (-2,) if on_rows(whole, projector) else (-1,)
        factor = ratio_of_norms(step, low, axes, eps)
        if max_growth is not None:
            # The norm of what is not made yet, so that one pass makes it, which the compiler joins with what comes next.
            limit, last = kept_from_growing(norms(factor * norms(whole, axes)), last, max_growth, eps)
            factor = factor * limit
        return reshard_like(g, times(whole, root * factor)), last

    def init(params: Params) -> ScaleByLowRankNormsState:
        matrices = matrices_of(tree.moment_like(params), weight_dimension_numbers)
        inner_state = init_inside(inner, matrices, rank, "short")
        return ScaleByLowRankNormsState(jnp.zeros((), jnp.int32), as_key(start), inner_state, matrices.of_each(no_norms))

    @tells(precise=("norms",))
    @forwards_to(inner, changes_updates=True, whole_matrices=True)
    @compiled
    def update(updates: Updates, state: ScaleByLowRankNormsState, params: Params | None = None, **extra_args: Any):
        matrices = matrices_of(updates, weight_dimension_numbers)
        drawn_with = folded_key(state.rng_key, start, state.count // update_proj_gap)
        with nothing_placed():
            projector = random_directions(drawn_with, matrices, rank, "short")
            low = matrices.same_on_all(project(matrices.whole, projector))
        steps, low_steps, inner_state = update_inside(inner, matrices, low, state.inner_state, extra_args)
        with nothing_placed():
            scaled, last = rule(matrices.whole, low, low_steps, projector, state.norms, root=jnp.sqrt(scale))
        new_state = ScaleByLowRankNormsState(
            safe_increment(state.count), state.rng_key, inner_state, matrices.same_on_all(last)
        )
        return matrices.put_back(scaled, steps, updates), laid_out_as(state, new_state)

    return GradientTransformationExtraArgs(init, update)
