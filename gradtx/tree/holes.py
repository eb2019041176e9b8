"""Holes: what stands in a tree for a leaf that is not there."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from gradtx.tree.scopes import at_place, places_of


class MaskedNode(NamedTuple):
    """A masked leaf: it stands in a tree of updates, params or state for a leaf that a mask leaves out."""


def is_hole(node: Any) -> bool:
    """Whether `node` is `None` or a masked node, of gradtx or of another library."""
    return node is None or (isinstance(node, tuple) and type(node).__name__ == "MaskedNode")


def map_leaves(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Apply `f` to the leaves of trees of one structure; where the first has a hole, the hole stays."""
    places = places_of(tree, is_hole)
    if places is None:
        return map_arrays(f, tree, *rest)
    place = iter(places)
    return map_arrays(lambda x, *others: at_place(next(place), f, x, *others), tree, *rest)


def map_arrays(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """As `map_leaves`, but to the arrays as they are, of all layers at once; the others may have other shapes."""
    return jax.tree.map(lambda x, *others: x if is_hole(x) else f(x, *others), tree, *rest, is_leaf=is_hole)
