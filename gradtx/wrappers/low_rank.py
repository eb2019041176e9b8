"""An optimizer that sees each matrix of gradients in a subspace (Zhao et al. 2024)."""

from collections.abc import Callable, Sequence
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
    with_extra_args_support,
)
from gradtx.numerics import Count, adjoint, safe_increment
from gradtx.require import AT_LEAST_ONE
from gradtx.tree import mismatch
from gradtx.tree.divided import layouts_of, on_whole_matrices
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.layout import all_gathered, kept_like, reshard_like
from gradtx.tree.matrices import DimensionNumbers, as_matrices, from_matrices, numbers_of
from gradtx.tree.scopes import Place, as_whole, nothing_placed, placed, places_of, same_on_all


class GaLoreDimensionNumbers(DimensionNumbers):
    """Which axes of an array are the rows (inputs) and the columns (outputs) of its matrices; all others count matrices."""


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

    Raises:
      ValueError: an array has other axes than said.

    References:
      Zhao et al., GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection, 2024,
        https://arxiv.org/abs/2403.03507
    """
    inner = with_extra_args_support(inner)

    @on_whole_matrices(keep_whole=True)
    @tree.lift(like="projector", same_shapes=False)
    def directions(g, projector):
        return jax.lax.stop_gradient(_directions(all_gathered(g), projector.shape[-1]))

    @tree.lift(like="g", same_shapes=False)
    def project(g, projector):
        whole = all_gathered(g)
        return adjoint(projector) @ whole if _is_tall(g.shape) else whole @ projector

    @tree.lift(like="g", same_shapes=False)
    def lift_back(g, low, projector):
        u = projector @ low if _is_tall(g.shape) else low @ adjoint(projector)
        return reshard_like(g, scale * u)

    def numbers_in(like: Any) -> list[DimensionNumbers | None]:
        numbers = weight_dimension_numbers
        if numbers is None:
            return [GaLoreDimensionNumbers() if x.ndim == 2 else None for x in jax.tree.leaves(as_whole(like))]
        if isinstance(numbers, DimensionNumbers):
            return [numbers if x.ndim >= 2 else None for x in jax.tree.leaves(as_whole(like))]
        return numbers_of(numbers, like, GaLoreDimensionNumbers())

    def init(params: Params) -> GaLoreState:
        zeros = tree.moment_like(params)
        own, matrices = _matrices(zeros, numbers_in(zeros))
        same_on_all = _same_on_all(own)
        with nothing_placed():
            low = same_on_all(tree.map_leaves(lambda zero: _zeros(zero, rank)[0], matrices))
            projector = same_on_all(tree.map_leaves(lambda zero: _zeros(zero, rank)[1], matrices))
            # Optax has arrays of shape (0, 0) there, which Orbax refuses to save.
            unused = tree.map_leaves(lambda zero: tree.full_of_shape(all_gathered(zero), (1, 1)), zeros)
        with placed(own, _unsplit):
            inner_state = inner.init(_filled(low, zeros))
        return GaLoreState(jnp.zeros((), jnp.int32), inner_state, _filled(projector, unused))

    @forwards_to(inner, changes_updates=True, states=lambda state: (state.base_optimizer_state,), whole_matrices=True)
    @compiled
    def update(updates: Updates, state: GaLoreState, params: Params | None = None, **extra_args: Any):
        with mismatch.explaining(g=updates):
            wide = tree.map_leaves(lambda g: g.astype(at_least_float32(g.dtype)), updates)
        numbers = numbers_in(wide)
        own, matrices = _matrices(wide, numbers)
        due = state.count % update_proj_gap == 0
        same_on_all, layouts = _same_on_all(own), layouts_of(own, [number for number in numbers if number is not None])

        def chosen() -> Any:
            return same_on_all(directions(matrices, layouts, state.projector))

        with nothing_placed():
            projector = jax.lax.cond(due, chosen, lambda: state.projector)
            low = same_on_all(project(matrices, projector))
        with placed(own, _unsplit):
            steps, inner_state = inner.update(_filled(low, wide), state.base_optimizer_state, None, **extra_args)
        with nothing_placed():
            back = lift_back(matrices, _only(steps, numbers), projector)
        arrays = from_matrices(back, own, [number for number in numbers if number is not None])
        # Leaf by leaf: a rule that two leaves share would lay them out alike.
        laid_out = tree.map_leaves(kept_like, own, arrays)
        new_updates = tree.cast_like(_filled(laid_out, steps), updates)
        new_state = GaLoreState(safe_increment(state.count), inner_state, projector)
        return new_updates, _laid_out_as(state, new_state)

    return GradientTransformationExtraArgs(init, update)


def _matrices(arrays: Any, numbers: Sequence[DimensionNumbers | None]) -> tuple[Any, Any]:
    """Those leaves that have dimension numbers, as they are and as matrices; None instead of the others."""
    own = _only(arrays, numbers)
    return own, as_matrices(own, [number for number in numbers if number is not None])


def _only(arrays: Any, numbers: Sequence[DimensionNumbers | None]) -> Any:
    leaves, structure = jax.tree.flatten(arrays)
    return structure.unflatten(None if number is None else leaf for leaf, number in zip(leaves, numbers, strict=True))


def _filled(part: Any, whole: Any) -> Any:
    """`part`, with the leaves of `whole` where it has none."""
    return jax.tree.map(lambda x, other: other if x is None else x, part, whole, is_leaf=_is_none)


def _same_on_all(own: Any) -> Callable[[Any], Any]:
    """A function of what is made of the whole matrices of split leaves, and so the same on all devices that have a part."""
    places = places_of(own)
    if places is None:
        return lambda made: made

    def known_to_be_the_same(made: Any) -> Any:
        place = iter(places)
        return jax.tree.map(lambda like, x: x if like is None else same_on_all(x, next(place)), own, made, is_leaf=_is_none)

    return known_to_be_the_same


def _laid_out_as(old: Any, new: Any) -> Any:
    """A state with the layout of the one before, which may be of the types of another library."""
    leaves, structure = jax.tree.flatten(new)
    return structure.unflatten(map(kept_like, jax.tree.leaves(old), leaves))


def _is_none(node: Any) -> bool:
    return node is None


def _unsplit(place: Place, _: Any) -> Place:
    return place._replace(split=())


def _is_tall(shape: Sequence[int]) -> bool:
    return shape[-2] >= shape[-1]


def _zeros(zero: jax.Array, rank: int) -> tuple[jax.Array, jax.Array]:
    """Zeros in the shapes of a matrix in the subspace, and of its projector."""
    zero = all_gathered(zero)  # as both are on every device
    *batch, rows, columns = zero.shape
    rank = min(rank, rows, columns)
    low, projector = ((rank, columns), (rows, rank)) if _is_tall(zero.shape) else ((rows, rank), (columns, rank))
    return tree.full_of_shape(zero, (*batch, *low)), tree.full_of_shape(zero, (*batch, *projector))


def _directions(matrices: jax.Array, rank: int) -> jax.Array:
    """The leading left singular vectors of tall matrices, or the right ones of wide ones; NaN of one that is not finite."""
    # LAPACK may look for the singular values of an infinite matrix forever.
    finite = jnp.all(jnp.isfinite(matrices), axis=(-2, -1), keepdims=True)
    left, _, right = jnp.linalg.svd(jnp.where(finite, matrices, 0), full_matrices=False)
    leading = left[..., :rank] if _is_tall(matrices.shape) else adjoint(right)[..., :rank]
    return jnp.where(finite, leading, jnp.nan)
