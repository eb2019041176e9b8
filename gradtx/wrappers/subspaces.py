"""Matrices in a subspace of few directions: what the optimizers of low rank share."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import GradientTransformationExtraArgs, OptState, Updates
from gradtx.numerics import adjoint
from gradtx.tree import mismatch
from gradtx.tree.divided import Layout, layouts_of, on_whole_matrices
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.layout import all_gathered, kept_like
from gradtx.tree.matrices import DimensionNumbers, as_matrices, from_matrices, numbers_of, same_on_all_devices
from gradtx.tree.scopes import Place, as_whole, nothing_placed, placed, places_of

Side: TypeAlias = Literal["long", "short"]
"""Which side of a matrix is replaced by a few directions; of a square one always its rows."""


class GaLoreDimensionNumbers(DimensionNumbers):
    """Which axes of an array are the rows (inputs) and the columns (outputs) of its matrices; all others count matrices."""


_OF_A_MATRIX: DimensionNumbers = GaLoreDimensionNumbers()


# --- which arrays are matrices --------------------------------------------------------------------------------------------


class Matrices(NamedTuple):
    """Arrays, in float32 at least, and those of them that are matrices: as they are, and whole; None for the others.

    And the dimension numbers of all; and of those that are matrices how they are split among devices, and their places.
    """

    arrays: Any
    own: Any
    whole: Any
    numbers: list[DimensionNumbers | None]
    layouts: list[Layout | None]
    places: list[Place] | None

    @property
    def their_numbers(self) -> list[DimensionNumbers | None]:
        """The dimension numbers of those that are matrices."""
        return _present(self.numbers)

    def of_each(self, make: Callable[[jax.Array], jax.Array]) -> Any:
        """Return what is made of each matrix, and zeros of shape (1, 1) for the others."""
        with nothing_placed():
            made = self.same_on_all(tree.map_leaves(make, self.whole))
            # Optax has arrays of shape (0, 0) there, which Orbax refuses to save.
            unused = tree.map_leaves(lambda x: tree.full_of_shape(all_gathered(x), (1, 1)), self.arrays)
        return self.filled(made, unused)

    def filled(self, made: Any, others: Any) -> Any:
        """Return a tree with the leaves of `others` where what was made of matrices has None."""
        return jax.tree.map(lambda x, other: other if x is None else x, made, others, is_leaf=_is_none)

    def same_on_all(self, made: Any) -> Any:
        """Return what is made of whole matrices, known to be the same on all devices that have a part of one."""
        return same_on_all_devices(made, self.own, self.places)

    def put_back(self, new: Any, others: Any, updates: Updates) -> Updates:
        """Return matrices in the shapes and dtypes of `updates`, with the leaves of `others` where there are none."""
        arrays = from_matrices(new, self.own, self.their_numbers)
        # Leaf by leaf: a rule that two leaves share would lay them out alike.
        laid_out = tree.map_leaves(kept_like, self.own, arrays)
        return tree.cast_like(self.filled(laid_out, others), updates)


def matrices_of(updates: Updates, numbers: Any) -> Matrices:
    """Return the matrices among some arrays: those that have dimension numbers, by default those of two axes."""
    with mismatch.explaining(g=updates):
        wide = tree.map_leaves(lambda g: g.astype(at_least_float32(g.dtype)), updates)
    listed = _listed(numbers, wide)
    own, theirs = _only(wide, listed), _present(listed)
    return Matrices(wide, own, as_matrices(own, theirs), listed, layouts_of(own, theirs), places_of(own))


def _listed(numbers: Any, arrays: Any) -> list[DimensionNumbers | None]:
    """The dimension numbers of each array."""
    if numbers is None:
        return [_OF_A_MATRIX if x.ndim == 2 else None for x in jax.tree.leaves(as_whole(arrays))]
    if isinstance(numbers, DimensionNumbers):
        return [numbers if x.ndim >= 2 else None for x in jax.tree.leaves(as_whole(arrays))]
    return numbers_of(numbers, arrays, _OF_A_MATRIX)


def _present(numbers: Sequence[DimensionNumbers | None]) -> list[DimensionNumbers | None]:
    return [number for number in numbers if number is not None]


def _only(arrays: Any, numbers: Sequence[DimensionNumbers | None]) -> Any:
    leaves, structure = jax.tree.flatten(arrays)
    return structure.unflatten(None if number is None else leaf for leaf, number in zip(leaves, numbers, strict=True))


def _is_none(node: Any) -> bool:
    return node is None


# --- what the inner transformation sees -----------------------------------------------------------------------------------


def init_inside(inner: GradientTransformationExtraArgs, matrices: Matrices, rank: int, side: Side) -> OptState:
    """Return the state of a transformation that sees matrices in a subspace, and other arrays as they are."""
    with nothing_placed():
        low = matrices.same_on_all(tree.map_leaves(lambda x: _zeros(x, rank, side)[0], matrices.whole))
    with placed(matrices.own, _unsplit):
        return inner.init(matrices.filled(low, matrices.arrays))


def update_inside(
    inner: GradientTransformationExtraArgs, matrices: Matrices, low: Any, state: OptState, extra_args: dict[str, Any]
) -> tuple[Any, Any, OptState]:
    """Return the updates of all arrays, those of the matrices alone, which are in the subspace, and the new state."""
    with placed(matrices.own, _unsplit):
        updates, state = inner.update(matrices.filled(low, matrices.arrays), state, None, **extra_args)
    return updates, _only(updates, matrices.numbers), state


def laid_out_as(old: Any, new: Any) -> Any:
    """Return a state with the layout of the one before, which may be of the types of another library."""
    leaves, structure = jax.tree.flatten(new)
    return structure.unflatten(map(kept_like, jax.tree.leaves(old), leaves))


def _unsplit(place: Place, _: Any) -> Place:
    return place._replace(split=())


# --- the subspace -----------------------------------------------------------------------------------------------------------


def zero_projector(matrix: jax.Array, rank: int, side: Side) -> jax.Array:
    """Return zeros for the directions of a matrix, its rows or columns times at most `rank`."""
    return _zeros(matrix, rank, side)[1]


def chosen_directions(matrices: Matrices, old: Any, due: jax.Array) -> Any:
    """Return the leading singular vectors of all matrices where they are due, and else the old directions."""

    def chosen() -> Any:
        return matrices.same_on_all(_leading(matrices.whole, matrices.layouts, old))

    return jax.lax.cond(due, chosen, lambda: old)


def random_directions(key: jax.Array, matrices: Matrices, rank: int, side: Side) -> Any:
    """Return random normal numbers for all matrices, divided by √rank so that products with them keep their size."""
    leaves, structure = jax.tree.flatten(matrices.whole)
    keys = jax.random.split(key, max(1, len(leaves)))
    return structure.unflatten(_random(one, x, rank, side) for one, x in zip(keys, leaves, strict=False))


@tree.lift(like="g", same_shapes=False)
def project(g, projector):
    """Return Pᵀ·G, or G·P where P is of the columns."""
    whole = all_gathered(g)
    return adjoint(projector) @ whole if on_rows(g, projector) else whole @ projector


def out_of(low: jax.Array, projector: jax.Array, like: jax.Array) -> jax.Array:
    """Return P·L, or L·Pᵀ where P is of the columns of a matrix like the last."""
    return projector @ low if on_rows(like, projector) else low @ adjoint(projector)


def on_rows(matrix: jax.Array, projector: jax.Array) -> bool:
    """Return whether directions are those of the rows of a matrix, and not of the columns."""
    return projector.shape[-2] == matrix.shape[-2]


@on_whole_matrices(keep_whole=True)
@tree.lift(like="projector", same_shapes=False)
def _leading(g, projector):
    return jax.lax.stop_gradient(_singular_vectors(all_gathered(g), projector))


def _singular_vectors(matrices: jax.Array, projector: jax.Array) -> jax.Array:
    """The leading ones on the side of a projector; NaN of a matrix that is not finite."""
    # LAPACK may look for the singular values of an infinite matrix forever.
    finite = jnp.all(jnp.isfinite(matrices), axis=(-2, -1), keepdims=True)
    left, _, right = jnp.linalg.svd(jnp.where(finite, matrices, 0), full_matrices=False)
    leading = (left if on_rows(matrices, projector) else adjoint(right))[..., : projector.shape[-1]]
    return jnp.where(finite, leading, jnp.nan)


def _random(key: jax.Array, matrix: jax.Array, rank: int, side: Side) -> jax.Array:
    shape = jax.eval_shape(lambda: zero_projector(matrix, rank, side)).shape
    # Drawn in 32 bits, so that it is the same in wider dtypes.
    dtype = jnp.complex64 if jnp.iscomplexobj(matrix) else jnp.float32
    return jax.random.normal(key, shape, dtype).astype(matrix.dtype) / math.sqrt(max(1, shape[-1]))


def _zeros(matrix: jax.Array, rank: int, side: Side) -> tuple[jax.Array, jax.Array]:
    """Zeros in the shapes of a matrix in the subspace, and of its projector."""
    matrix = all_gathered(matrix)  # as both are on every device
    *batch, rows, columns = matrix.shape
    rank = min(rank, rows, columns)
    of_rows = rows >= columns if side == "long" else rows <= columns
    low, projector = ((rank, columns), (rows, rank)) if of_rows else ((rows, rank), (columns, rank))
    return tree.full_of_shape(matrix, (*batch, *low)), tree.full_of_shape(matrix, (*batch, *projector))
