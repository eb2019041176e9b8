"""Statistics of the axes of a leaf: for each axis the mean of ⟨g, g⟩ over all others, as Shampoo and SOAP keep them.

Of a leaf that is split among devices a rule sees a part; these work on the whole one.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.tree.layout import all_gathered, reshard_like
from gradtx.tree.scopes import gathered, own_part, place_of_leaf, same_on_all

_HIGHEST = jax.lax.Precision.HIGHEST

Squares: TypeAlias = tuple[jax.Array, ...]
"""A square matrix for each axis of an array, of shape (1, 1) where the axis has none."""


# --- arrays that may be parts of leaves -------------------------------------------------------------------------------


def whole_leaf(x: jax.Array) -> jax.Array:
    """Return the whole leaf of which a rule sees a part."""
    place = place_of_leaf()
    return gathered(all_gathered(x), place) if place.split else all_gathered(x)


def part_of_leaf(whole: jax.Array, x: jax.Array) -> jax.Array:
    """Return the part of a whole leaf that a rule sees as `x`."""
    place = place_of_leaf()
    return reshard_like(x, own_part(whole, place) if place.split else whole)


def _known_to_be_the_same(x: jax.Array) -> jax.Array:
    place = place_of_leaf()
    return same_on_all(x, place) if place.split else x


# --- statistics -------------------------------------------------------------------------------------------------------


def diagonal_squares(zero: jax.Array, sizes: Sequence[int], diagonal: float) -> Squares:
    """Return for each axis a matrix with a number on its diagonal.

    Args:
      zero: the leaf, or what has its dtype and lies where it lies.
      sizes: of the matrices.
      diagonal: the number.
    """
    squares = [tree.full_of_shape(all_gathered(zero), (size, size)) for size in sizes]
    return tuple(_known_to_be_the_same(square + diagonal * jnp.eye(len(square), dtype=square.dtype)) for square in squares)


def is_used(square: jax.Array) -> bool:
    """Return whether an axis has a matrix."""
    return square.size > 1


def accumulated(old: jax.Array, new: jax.Array, decay: Any, weight: Any) -> jax.Array:
    """Return decay·old + weight·new, and `old` where that is not finite: one bad gradient does not spoil a mean.

    Args:
      old: the statistics of an axis.
      new: those of this step's gradient.
      decay: of the statistics.
      weight: of the new ones: 1 − decay for a mean.
    """
    total = decay * old + weight * new
    return _known_to_be_the_same(jnp.where(jnp.isfinite(total), total, old))


def gram(x: jax.Array, axis: int) -> jax.Array:
    """Return ⟨x, x⟩ over all axes but one."""
    others = [other for other in range(x.ndim) if other != axis]
    return jnp.tensordot(x, jnp.conj(x), axes=(others, others), precision=_HIGHEST)


def times(x: jax.Array, matrices: Sequence[jax.Array]) -> jax.Array:
    """Return x, each axis multiplied by a matrix from the right; an axis without a matrix stays."""
    for axis, matrix in enumerate(matrices):
        if len(matrix) == x.shape[axis]:
            x = jnp.moveaxis(jnp.tensordot(x, matrix, axes=(axis, 0), precision=_HIGHEST), -1, axis)
    return x


def times_others(x: jax.Array, matrices: Sequence[jax.Array], axis: int) -> jax.Array:
    """Return x, each axis but one multiplied by its matrix: what KL statistics of that one are taken of."""
    nothing = jnp.ones((1, 1), x.dtype)
    return times(x, [nothing if other == axis else matrix for other, matrix in enumerate(matrices)])


def in_units(statistics: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return statistics in units of their largest number, and that; 0 if one is not finite.

    LAPACK may never come back from what is not finite.
    """
    largest = jnp.max(jnp.abs(statistics))
    scaled = statistics / jnp.where(largest > 0, largest, 1)
    return jnp.where(jnp.isfinite(largest), scaled, 0), largest


# --- blocks of long axes ----------------------------------------------------------------------------------------------


def cut(x: jax.Array, max_size: int) -> list[jax.Array]:
    """Return the blocks of an array whose axes are cut after each so many entries; of an empty one that itself."""
    blocks = [x]
    if not x.size:
        return blocks
    for axis, size in enumerate(x.shape):
        ends = range(max_size, size, max_size)
        blocks = [part for block in blocks for part in jnp.split(block, list(ends), axis)]
    return blocks


def joined(blocks: Sequence[jax.Array], shape: Sequence[int], max_size: int) -> jax.Array:
    """Return the array of a shape that was cut into blocks."""
    for axis, size in reversed(list(enumerate(shape))) if len(blocks) > 1 else ():
        number = -(-size // max_size)
        blocks = [jnp.concatenate(blocks[k : k + number], axis) for k in range(0, len(blocks), number)]
    return blocks[0]


# --- when something is made of them -----------------------------------------------------------------------------------


def due_leaves(like: Any, step: jax.Array, every: int, stagger: bool, also: Any) -> Any:
    """Return a tree of bools: for which leaves something is made of the statistics at a step.

    Args:
      like: the leaves.
      step: how many there were.
      every: steps from one time to the next.
      stagger: whether leaf i of n has its turn i·every/n steps early, and not all at once.
      also: whether it is the turn of all in any case.
    """
    leaves, structure = jax.tree.flatten(like)
    shifts = [k * every // len(leaves) if stagger else 0 for k in range(len(leaves))]
    return structure.unflatten(also | ((step + shift) % every == 0) for shift in shifts)


def any_of(due: Any) -> jax.Array:
    """Return whether it is the turn of any leaf."""
    return jnp.any(jnp.stack(jax.tree.leaves(due)))


def run_for_leaf(due: jax.Array, run: Callable[[], Any], otherwise: Callable[[], Any], stagger: bool) -> Any:
    """Return `run()` of a leaf whose turn it is, and else `otherwise()`; if they are not staggered, it is that of all."""
    return jax.lax.cond(due, run, otherwise) if stagger else run()
