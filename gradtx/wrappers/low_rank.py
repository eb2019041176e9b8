"""An optimizer that sees each matrix of gradients in a subspace (Zhao et al. 2024)."""

from collections.abc import Callable
from typing import Any, NamedTuple

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
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment
from gradtx.require import AT_LEAST_ONE
from gradtx.tree.layout import reshard_like
from gradtx.tree.scopes import nothing_placed
from gradtx.wrappers.subspaces import (
    Side,
    chosen_directions,
    init_inside,
    laid_out_as,
    matrices_of,
    out_of,
    project,
    update_inside,
    zero_projector,
)


class GaLoreState(NamedTuple):
    """Steps taken, the state of the inner optimizer, and the directions it sees (of shape (1, 1) for what is not a matrix)."""

    count: Count
    base_optimizer_state: OptState
    projector: Updates


@factory(rank=AT_LEAST_ONE, update_proj_gap=AT_LEAST_ONE)
def low_rank(
    inner: Transformation,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
    *,
    side: Side = "long",
) -> GradientTransformationExtraArgs:
    """Low-rank gradients (GaLore): `inner` sees, and keeps a state of, only the leading singular directions of each matrix.

        every update_proj_gap steps: P ← U[:, :rank]        of G = UΣVᵀ
        u = scale·P·inner(Pᵀ·G)                             for a wide matrix P ← V[:, :rank], u = scale·inner(G·P)·Pᵀ

    P follows one gradient; between two singular values that are nearly equal it is arbitrary. What is not a matrix goes to
    `inner` as it is. Meta-gradients take P for a constant.

    Of k matrices of a shape that are split among n devices, each device decomposes ⌈k/n⌉, if it is known how they are split:
    as on a mesh of explicit axes, or outside of `jit`; under `jit` on a mesh of auto axes write `sharded(galore(...),
    layout=...)`. Else each decomposes all.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      inner: a transformation that does not read the parameters, which have no place in the subspace; weight decay comes after.
      rank: how many directions are kept, at most all.
      update_proj_gap: steps from one choice of directions to the next.
      scale: factor of the updates of matrices.
      weight_dimension_numbers: a tree like the parameters with `GaLoreDimensionNumbers` for each that is to be seen as
        matrices and None for the others, one for all of two axes or more, or a function that makes such a tree. By default
        arrays of two axes are matrices.
      side: which side of a matrix P is of. "long" is Optax's choice, with the smaller state. "short", the paper's choice, has
        the smaller P: for a wide matrix P ← U[:, :rank], u = scale·P·inner(Pᵀ·G).

    Raises:
      ValueError: an array has other axes than said, or `side` is another word.

    References:
      Zhao et al., GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection, 2024,
        https://arxiv.org/abs/2403.03507
    """
    inner = with_extra_args_support(inner)

    @tree.lift(like="g", same_shapes=False)
    def lift_back(g, low, projector):
        return reshard_like(g, scale * out_of(low, projector, g))

    def init(params: Params) -> GaLoreState:
        matrices = matrices_of(tree.moment_like(params), weight_dimension_numbers)
        inner_state = init_inside(inner, matrices, rank, side)
        return GaLoreState(
            jnp.zeros((), jnp.int32), inner_state, matrices.of_each(lambda zero: zero_projector(zero, rank, side))
        )

    @forwards_to(inner, changes_updates=True, states=lambda state: (state.base_optimizer_state,), whole_matrices=True)
    @compiled
    def update(updates: Updates, state: GaLoreState, params: Params | None = None, **extra_args: Any):
        matrices = matrices_of(updates, weight_dimension_numbers)
        with nothing_placed():
            projector = chosen_directions(matrices, state.projector, state.count % update_proj_gap == 0)
            low = matrices.same_on_all(project(matrices.whole, projector))
        steps, low_steps, inner_state = update_inside(inner, matrices, low, state.base_optimizer_state, extra_args)
        with nothing_placed():
            back = lift_back(matrices.whole, low_steps, projector)
        new_state = GaLoreState(safe_increment(state.count), inner_state, projector)
        return matrices.put_back(back, steps, updates), laid_out_as(state, new_state)

    return GradientTransformationExtraArgs(init, update)
