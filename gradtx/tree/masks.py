"""Masks: trees of bools that say which leaves a transformation sees.

where = evaluate_mask(mask, updates)
updates = fill_masked(where, rule(mask_out(where, updates), mask_out(where, params)), updates)
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jax.core import Tracer
from jax.tree_util import keystr

from gradtx.errors import unnamed
from gradtx.tree.holes import MaskedNode
from gradtx.tree.paths import without_boxes
from gradtx.tree.scopes import as_whole

Mask: TypeAlias = Any | Callable[[Any], Any]
"""A tree of bools, which may stop above the leaves it speaks for, or a function that makes one of a tree like params."""


class MaskedState(NamedTuple):
    """The state of what a mask lets through."""

    inner_state: Any


def through_mask(
    mask: Mask,
    init: Callable[..., Any],
    update: Callable[..., Any],
    *,
    mask_extra_args: bool = False,
    word: str = "mask",
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the `init` and the `update` of a transformation for what `mask` lets through.

    Args:
      mask: a tree of bools, or a function that returns one; it is called with the params and, in `update`, the updates.
      init: sees a `MaskedNode` where the mask is False.
      update: sees it too; there, updates pass unchanged.
      mask_extra_args: whether extra arguments that have the structure of the updates are masked, too.
      word: what the user calls the mask, for the errors.
    """
    check_mask(mask, word)

    def visible(tree: Any) -> Any:
        return None if tree is None else mask_out(evaluate_mask(mask, tree, word), tree)

    def masked_init(params: Any) -> MaskedState:
        return MaskedState(init(visible(params)))

    @functools.wraps(update)  # so that it requires and reads what `update` does
    def masked_update(updates: Any, state: MaskedState, params: Any = None, **extra_args: Any):
        where = evaluate_mask(mask, updates, word)
        if mask_extra_args:
            extra_args = mask_out_like(where, updates, extra_args)
        new_updates, inner_state = update(mask_out(where, updates), state.inner_state, visible(params), **extra_args)
        return fill_masked(where, new_updates, updates), MaskedState(inner_state)

    return masked_init, masked_update


def check_mask(mask: Mask, word: str = "mask") -> None:
    """Raise `TypeError` by path unless a mask, which the user calls `word`, is a function or a tree of bools."""
    if is_function(mask):
        return
    for path, leaf in jax.tree_util.tree_leaves_with_path(mask):
        if not is_bool(leaf):
            raise unnamed(
                TypeError,
                f"{word}{keystr(path)} must be True or False, got {leaf!r}. "
                "A mask decides what is computed, so it cannot be a number, an array with axes or a traced one.",
            )


def is_bool(leaf: Any) -> bool:
    """Return whether a leaf of a mask is True or False: a bool, or an array of one that has a value and no axes."""
    if isinstance(leaf, jax.Array | np.ndarray):
        return leaf.dtype == bool and leaf.ndim == 0 and not isinstance(leaf, Tracer)
    return isinstance(leaf, bool | np.bool_)


def evaluate_mask(mask: Mask, tree: Any, word: str = "mask") -> Any:
    """Return the tree of bools that `mask` means for `tree`.

    A mask that was mapped over `nnx.state(model)` has Flax's boxes around its leaves, and `nnx.Optimizer` hands on what is in
    them: then the boxes are taken off the mask, too.

    Args:
      mask: a tree of bools, or a function of `tree` that returns one.
      tree: the params, or updates of their structure.
      word: what the user calls the mask, for the errors.

    Raises:
      TypeError: a leaf of the mask is not a bool.
      ValueError: the mask does not match `tree`.
    """
    where = mask(as_whole(tree)) if is_function(mask) else mask
    check_mask(where, word)
    where = jax.tree.map(bool, where)
    if _fits(where, tree):
        return where
    unboxed = without_boxes(where)
    if _fits(unboxed, tree):
        return unboxed
    raise unnamed(ValueError, _difference(word, where, tree))


def _fits(where: Any, tree: Any) -> bool:
    try:
        mask_out(where, tree)
    except ValueError:
        return False
    return True


def mask_out(where: Any, tree: Any) -> Any:
    """Return `tree` with a `MaskedNode` instead of what is False in `where`."""
    return jax.tree.map(lambda keep, node: node if keep else MaskedNode(), where, tree)


def mask_out_like(where: Any, tree: Any, extra_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return extra arguments, those that have the structure of `tree` with a `MaskedNode` where it has one in `mask_out`."""
    like = jax.tree.structure(tree)
    return {name: mask_out(where, arg) if jax.tree.structure(arg) == like else arg for name, arg in extra_args.items()}


def fill_masked(where: Any, tree: Any, original: Any) -> Any:
    """Return `tree` with what is False in `where` taken from `original`: the inverse of `mask_out`."""
    return jax.tree.map(lambda keep, new, old: new if keep else old, where, tree, original)


def is_function(thing: Any) -> bool:
    """A model may be a tree and callable at once: that is a tree."""
    return callable(thing) and jax.tree_util.all_leaves([thing])


def _difference(word: str, where: Any, tree: Any) -> str:
    marks = [path for path, _ in jax.tree_util.tree_leaves_with_path(where)]
    leaves = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    for leaf in leaves:
        if not any(leaf[: len(mark)] == mark for mark in marks):
            return f"{word} has nothing for {keystr(leaf) or 'a lone array'}; it has {_shown(marks)}."
    for mark in marks:
        if not any(leaf[: len(mark)] == mark for leaf in leaves):
            return f"{word}{keystr(mark)} has no counterpart in the tree, which has {_shown(leaves)}."
    return f"{word} is made of other containers, {jax.tree.structure(where)}, than the tree, {jax.tree.structure(tree)}."


def _shown(paths: list[Any]) -> str:
    shown = [keystr(path) for path in paths]
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "") if shown else "nothing"
