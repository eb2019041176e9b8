"""Matrices cut into blocks of outputs that are matrices of their own: fused projections, the heads of attention."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.errors import unnamed
from gradtx.tree.holes import is_hole
from gradtx.tree.matrices import DimensionNumbers, as_matrices, from_matrices, sizes
from gradtx.tree.paths import places
from gradtx.tree.patterns import check_pattern, first_matches, may_match
from gradtx.tree.scopes import as_whole, nothing_placed
from gradtx.tree.unmatched import is_whole, nothing_matches

Blocks: TypeAlias = Mapping[Any, int | Sequence[int]]
"""By patterns of paths (`Pattern`): how many equal blocks the outputs of a matrix are, or how many outputs each block has."""
Widths: TypeAlias = tuple[int, ...] | None
"""How many outputs each block of a matrix has; None for a matrix that is not cut."""


def check_split(split: Blocks | None) -> None:
    """Raise `TypeError` or `ValueError` unless `split` tells blocks by patterns."""
    for pattern, blocks in (split or {}).items():
        check_pattern(pattern)
        counts = [blocks] if isinstance(blocks, int) else [*blocks]
        if not counts or any(not isinstance(count, int) or count < 1 for count in counts):
            raise unnamed(ValueError, f"split of {pattern!r} must be a number of blocks, or the size of each, got {blocks!r}.")


def check_all_match(split: Blocks | None, tree: Any) -> None:
    """Raise `ValueError` if a pattern of `split` matches no matrix of a tree, where what is not a matrix is a hole."""
    leaves = places(tree)
    matrices = [(path, leaf) for path, leaf in leaves if not is_hole(leaf)]
    for pattern in split or {}:
        if not may_match(pattern, matrices):
            raise unnamed(ValueError, f"split: {nothing_matches(pattern, leaves)}")


def widths_of(split: Blocks | None, tree: Any, numbers: Sequence[DimensionNumbers | None]) -> list[Widths]:
    """Return the widths of the blocks of each leaf of a tree of arrays that are matrices.

    Raises:
      ValueError: blocks do not add up to the outputs of a matrix, or a pattern matches nothing.
    """
    if not split:
        return [None] * len(numbers)
    leaves = places(as_whole(tree))
    if is_whole(leaves):
        check_all_match(split, as_whole(tree))
    matches, told = first_matches([*split], leaves), [*split.values()]
    rows = [(path, leaf, match) for (path, leaf), match in zip(leaves, matches, strict=True) if not is_hole(leaf)]
    return [
        None if match is None or number is None else _widths(path, sizes(leaf.shape, number)[1], told[match[0]])
        for (path, leaf, match), number in zip(rows, numbers, strict=True)
    ]


def _widths(path: str, outputs: int, blocks: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(blocks, int):
        if outputs % blocks:
            raise unnamed(ValueError, f"split: the {outputs} outputs of {path!r} are not {blocks} equal blocks.")
        return (outputs // blocks,) * blocks
    if sum(blocks) != outputs:
        raise unnamed(ValueError, f"split: {path!r} has {outputs} outputs, not the {sum(blocks)} of {tuple(blocks)}.")
    return tuple(blocks)


def cut(matrices: Any, widths: Sequence[Widths]) -> Any:
    """Return a tree with a tuple of blocks instead of each matrix that is cut; equal ones are one array (..., blocks, m, n)."""
    leaves, structure = jax.tree.flatten(matrices)
    return structure.unflatten(x if each is None else _blocks(x, each) for x, each in zip(leaves, widths, strict=True))


def joined(blocks: Any, like: Any, widths: Sequence[Widths]) -> Any:
    """Return the matrices that `cut` has cut: its inverse, where `like` is a tree of their structure."""
    structure = jax.tree.structure(like)
    rows = zip(structure.flatten_up_to(blocks), widths, strict=True)
    return structure.unflatten(x if each is None else _matrix(x, each) for x, each in rows)


def for_blocks(told: Sequence[Any], widths: Sequence[Widths]) -> list[Any]:
    """Return what is told of each matrix for each array that `cut` makes: None, of blocks."""
    counts = [0 if each is None else 1 if len(set(each)) == 1 else len(each) for each in widths]
    return [x for one, count in zip(told, counts, strict=True) for x in ([None] * count or [one])]


def on_blocks(f: Callable[..., Any], numbers: Sequence[DimensionNumbers | None], widths: Sequence[Widths], *trees: Any) -> Any:
    """Return the last tree with f(*trees of blocks) instead of the leaves that are cut.

    Args:
      f: of trees of blocks; it returns a tree like them.
      numbers, widths: of each leaf.
      *trees: of arrays, alike.
    """
    if not any(widths):
        return trees[-1]
    structure = jax.tree.structure(trees[0])
    parts = [
        structure.unflatten(leaf if each else None for leaf, each in zip(jax.tree.leaves(tree), widths, strict=True))
        for tree in trees
    ]
    its_numbers = [number for number, each in zip(numbers, widths, strict=True) if each]
    its_widths = [each for each in widths if each]
    matrices = [as_matrices(part, its_numbers) for part in parts]
    with nothing_placed():
        blocks = f(*(cut(part, its_widths) for part in matrices))
    results = iter(jax.tree.leaves(from_matrices(joined(blocks, matrices[0], its_widths), parts[0], its_numbers)))
    return structure.unflatten(
        next(results) if each else leaf for leaf, each in zip(jax.tree.leaves(trees[-1]), widths, strict=True)
    )


def _blocks(x: jax.Array, widths: tuple[int, ...]) -> tuple[jax.Array, ...]:
    if len(set(widths)) == 1:
        return (jnp.moveaxis(x.reshape(*x.shape[:-1], len(widths), widths[0]), -2, -3),)
    return tuple(jnp.split(x, np.cumsum(widths)[:-1], axis=-1))


def _matrix(blocks: tuple[jax.Array, ...], widths: tuple[int, ...]) -> jax.Array:
    if len(set(widths)) == 1:
        x = jnp.moveaxis(blocks[0], -3, -2)
        return x.reshape(*x.shape[:-2], sum(widths))
    return jnp.concatenate(blocks, axis=-1)
