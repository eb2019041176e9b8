"""Masks: trees of bools that say which leaves a transformation sees.

where = evaluate_mask("add_decayed_weights", mask, updates)
updates = fill_masked(where, rule(mask_out(where, updates), mask_out(where, params)), updates)
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jax.tree_util import keystr

from gradtx.tree.holes import MaskedNode

Mask: TypeAlias = Any | Callable[[Any], Any]
"""A tree of bools, which may stop above the leaves it speaks for, or a function that makes one of a tree like params."""


class MaskedState(NamedTuple):
    """The state of what a mask lets through."""

    inner_state: Any


def check_mask(owner: str, mask: Mask) -> None:
    """Raise `TypeError` by path unless `mask` is a function or a tree of bools."""
    if _is_function(mask):
        return
    for path, leaf in jax.tree_util.tree_leaves_with_path(mask):
        if not isinstance(leaf, bool | np.bool_):
            raise TypeError(
                f"{owner}: mask{keystr(path)} must be True or False, got {leaf!r}. "
                "A mask decides what is computed, so it cannot be a number or an array."
            )


def evaluate_mask(owner: str, mask: Mask, tree: Any) -> Any:
    """Return the tree of bools that `mask` means for `tree`.

    Args:
      owner: the transformation, for the errors.
      mask: a tree of bools, or a function of `tree` that returns one.
      tree: the params, or updates of their structure.

    Raises:
      TypeError: a leaf of the mask is not a bool.
      ValueError: the mask does not match `tree`.
    """
    where = mask(tree) if _is_function(mask) else mask
    check_mask(owner, where)
    try:
        mask_out(where, tree)
    except ValueError as error:
        raise ValueError(f"{owner}: {error}") from error
    return where


def mask_out(where: Any, tree: Any) -> Any:
    """Return `tree` with a `MaskedNode` in the place of what is False in `where`.

    Raises:
      ValueError: `where` does not match `tree`.
    """
    try:
        return jax.tree.map(lambda keep, node: node if keep else MaskedNode(), where, tree)
    except ValueError as error:
        raise ValueError(_difference(where, tree)) from error


def fill_masked(where: Any, tree: Any, original: Any) -> Any:
    """Return `tree` with what is False in `where` taken from `original`: the inverse of `mask_out`."""
    return jax.tree.map(lambda keep, new, old: new if keep else old, where, tree, original)


def _is_function(mask: Mask) -> bool:
    """A model may be a tree and callable at once: that is a tree."""
    return callable(mask) and jax.tree_util.all_leaves([mask])


def _difference(where: Any, tree: Any) -> str:
    marks = [path for path, _ in jax.tree_util.tree_leaves_with_path(where)]
    leaves = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    for leaf in leaves:
        if not any(leaf[: len(mark)] == mark for mark in marks):
            return f"the mask says nothing about {keystr(leaf)}; it has {_shown(marks)}."
    for mark in marks:
        if not any(leaf[: len(mark)] == mark for leaf in leaves):
            return f"mask{keystr(mark)} has no counterpart in the tree, which has {_shown(leaves)}."
    return f"the mask is made of other containers, {jax.tree.structure(where)}, than the tree, {jax.tree.structure(tree)}."


def _shown(paths: list[Any]) -> str:
    shown = [keystr(path) for path in paths]
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "") if shown else "nothing"
