"""Arrays of more than two axes as matrices: which axes are rows, which columns, which count matrices."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.tree_util import keystr

from gradtx.errors import unnamed
from gradtx.tree.holes import is_hole
from gradtx.tree.masks import is_function
from gradtx.tree.scopes import MeshAxes, Place, as_whole, gathered, own_part, places_of, same_on_all, whole_shape

Split: TypeAlias = tuple[MeshAxes, ...]
"""For each axis of an array, along which axes of the mesh it is split."""


Axes: TypeAlias = tuple[int, ...]


class DimensionNumbers(NamedTuple):
    """Axes of the rows (inputs) and of the columns (outputs); all others count matrices."""

    reduction_axis: int | tuple[int, ...] = 0
    output_axis: int | tuple[int, ...] = 1


def is_numbers(node: Any) -> bool:
    """Whether a node of a tree of dimension numbers stands for one leaf of the parameters."""
    return isinstance(node, DimensionNumbers) or node is None


def numbers_of(numbers: Any, tree: Any, default: DimensionNumbers) -> list[DimensionNumbers | None]:
    """Return the dimension numbers of each leaf of `tree`, holes left out.

    Args:
      numbers: a tree of them (None for a leaf that is not a matrix), a function that makes one, one for all, or None.
      tree: parameters or updates.
      default: what None means.

    Raises:
      ValueError: `numbers` has another structure than `tree`.
    """
    if is_function(numbers):
        numbers = numbers(as_whole(tree))
    if numbers is None or isinstance(numbers, DimensionNumbers):
        return [numbers or default] * len(jax.tree.leaves(tree))
    leaves, structure = jax.tree.flatten(tree, is_leaf=is_hole)
    listed, given = jax.tree.flatten(numbers, is_leaf=lambda node: is_numbers(node) or is_hole(node))
    if structure != given:
        raise unnamed(ValueError, f"the dimension numbers are for a tree {given}, the parameters are a tree {structure}.")
    return [None if is_hole(number) else number for leaf, number in zip(leaves, listed, strict=True) if not is_hole(leaf)]


def for_each_leaf(numbers: Any, tree: Any) -> Any:
    """Return dimension numbers for each leaf of `tree`, of those that may be meant for all leaves below a node.

    What does not fit `tree` is returned as it is, for others to say what is wrong.
    """
    try:
        return jax.tree.map(
            lambda number, part: jax.tree.map(lambda _: number, part, is_leaf=is_hole), numbers, tree, is_leaf=is_numbers
        )
    except ValueError:
        return numbers


def check_numbers(numbers: Any, word: str) -> None:
    """Raise `TypeError` by path unless `numbers` are a function, a tree of dimension numbers, or None."""
    if callable(numbers):
        return
    for path, leaf in jax.tree_util.tree_leaves_with_path(numbers, is_leaf=is_numbers):
        if not is_numbers(leaf):
            raise unnamed(TypeError, f"{word}{keystr(path)} must be dimension numbers or None, got {leaf!r}.")


def as_matrices(tree: Any, numbers: list[DimensionNumbers | None]) -> Any:
    """Return the tree with each leaf in the shape (..., rows, columns) that its dimension numbers mean.

    These are whole, inside of `shard_map`, too, and what is done with them is to be done there `with nothing_placed()`.

    Raises:
      ValueError: a leaf has no such axes; the message has its path.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(tree)
    rows = zip(paths, numbers, _places(tree), strict=True)
    return structure.unflatten(
        _to_matrix(keystr(path), gathered(leaf, place), _of_stack(number, place)) for (path, leaf), number, place in rows
    )


def from_matrices(matrices: Any, like: Any, numbers: list[DimensionNumbers | None]) -> Any:
    """Return matrices in the shapes of `like`: the inverse of `as_matrices`."""
    leaves, structure = jax.tree.flatten(like)
    parts = zip(jax.tree.leaves(matrices), leaves, numbers, _places(like), strict=True)
    return structure.unflatten(
        own_part(_from_matrix(matrix, whole_shape(leaf, place), _of_stack(number, place)), place)
        for matrix, leaf, number, place in parts
    )


def same_on_all_devices(made: Any, like: Any, places: Sequence[Place] | None) -> Any:
    """Return what is made of the whole matrices of split leaves, known to be the same on all devices that have a part of one.

    Args:
      made: a tree with something for each leaf of the other.
      like: the leaves; where there is a hole, what is made stays.
      places: those of the leaves, as `places_of` has them.
    """
    if places is None:
        return made
    place = iter(places)
    return jax.tree.map(lambda leaf, x: x if is_hole(leaf) else same_on_all(x, next(place)), like, made, is_leaf=is_hole)


def splits_of_matrices(
    splits: Sequence[Split | None], like: Any, numbers: Sequence[DimensionNumbers | None]
) -> list[Split | None]:
    """Return along which axes of the mesh each axis of matrices is split, of what is known of those of the leaves of `like`.

    None for those of which a device has no rows, or columns, that are one after another.
    """
    rows = zip(splits, numbers, _places(like), strict=True)
    return [_split_of_matrices(split, _of_stack(number, place)) for split, number, place in rows]


def sizes(shape: tuple[int, ...], number: DimensionNumbers) -> tuple[int, int]:
    """Return the numbers of rows and of columns."""
    _, rows, columns = axes_of(len(shape), number)
    return math.prod(shape[axis] for axis in rows), math.prod(shape[axis] for axis in columns)


def axes_of_matrices(tree: Any, numbers: list[DimensionNumbers | None]) -> list[tuple[Axes, Axes]]:
    """Return the axes of the rows, and those of the columns, of each leaf as a rule on leaves sees it.

    Raises:
      ValueError: a leaf has no such axes; the message has its path.
    """
    rows = zip(jax.tree_util.tree_leaves_with_path(as_whole(tree)), numbers, strict=True)
    axes = [axes_of(len(leaf.shape), _checked(keystr(path), leaf.shape, number)) for (path, leaf), number in rows]
    return [(rows, columns) for _, rows, columns in axes]


def by_axes(tree: Any, axes: Sequence[tuple[Axes, Axes]], f: Callable[[Any, Axes, Axes], Any]) -> Any:
    """Return f(part, *axes) of the leaves that have the same axes, the others masked in the part, put together again.

    Args:
      tree: of arrays.
      axes: a pair of each leaf.
      f: of a tree like the first that has only some of its leaves, and of their pair; it returns such a tree.
    """
    leaves, structure = jax.tree.flatten(tree)
    results = list(leaves)
    for chosen in dict.fromkeys(axes):
        places = [k for k, found in enumerate(axes) if found == chosen]
        part = structure.unflatten(leaf if k in places else None for k, leaf in enumerate(leaves))
        for k, result in zip(places, jax.tree.leaves(f(part, *chosen)), strict=True):
            results[k] = result
    return structure.unflatten(results)


def _places(tree: Any) -> list[Place]:
    return places_of(tree) or [Place()] * len(jax.tree.leaves(tree))


def _of_stack(number: DimensionNumbers | None, place: Place) -> DimensionNumbers | None:
    """The dimension numbers of an array whose first axis counts layers, if it does."""
    if number is None or not place.layers:
        return number
    rows, columns = (tuple(axis + (axis >= 0) for axis in part) for part in _as_tuples(number))
    return DimensionNumbers(rows, columns)


def _to_matrix(where: str, x: jax.Array, number: DimensionNumbers | None) -> jax.Array:
    number = _checked(where, x.shape, number)
    counting, rows, columns = axes_of(x.ndim, number)
    shape = *(x.shape[axis] for axis in counting), *sizes(x.shape, number)
    return jnp.transpose(x, (*counting, *rows, *columns)).reshape(shape)


def _checked(where: str, shape: tuple[int, ...], number: DimensionNumbers | None) -> DimensionNumbers:
    """Dimension numbers that fit the shape."""
    if number is None:
        raise unnamed(ValueError, f"{where} has no dimension numbers, so it is not a matrix.")
    if not fits(len(shape), number):
        raise unnamed(ValueError, f"{where} has the shape {shape}, which has no axes as in {number}.")
    return number


def _from_matrix(matrix: jax.Array, shape: tuple[int, ...], number: DimensionNumbers | None) -> jax.Array:
    assert number is not None  # or there were no matrix
    order = [axis for part in axes_of(len(shape), number) for axis in part]
    back = sorted(range(len(shape)), key=order.__getitem__)
    return jnp.transpose(matrix.reshape([shape[axis] for axis in order]), back)


def _split_of_matrices(split: Split | None, number: DimensionNumbers | None) -> Split | None:
    if split is None or number is None:
        return None
    counting, rows, columns = axes_of(len(split), number)
    if any(split[axis] for part in (rows, columns) for axis in part[1:]):
        return None  # of several axes that become one, a range of it is split along the first alone
    return (*(split[axis] for axis in counting), *(split[part[0]] if part else () for part in (rows, columns)))


def fits(ndim: int, number: DimensionNumbers) -> bool:
    """Return whether an array of so many axes has those of the dimension numbers, each once."""
    axes = [axis for part in _as_tuples(number) for axis in part]
    return len({axis % max(ndim, 1) for axis in axes}) == len(axes) and all(-ndim <= axis < ndim for axis in axes)


def axes_of(ndim: int, number: DimensionNumbers) -> tuple[Axes, ...]:
    """Return the axes that count matrices, the axes of the rows, and the axes of the columns."""
    rows, columns = (tuple(axis % ndim for axis in part) for part in _as_tuples(number))
    return tuple(axis for axis in range(ndim) if axis not in rows + columns), rows, columns


def _as_tuples(number: DimensionNumbers) -> tuple[tuple[int, ...], tuple[int, ...]]:
    rows, columns = ((part,) if isinstance(part, int) else tuple(part) for part in number)
    return rows, columns
