"""Paths: where a leaf stands in a tree, as text such as "layers/0/attention/bias"."""

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
from jax.tree_util import keystr, tree_flatten_with_path

from gradtx.errors import unnamed
from gradtx.tree.holes import MaskedNode, is_hole

# Boxes around an array, by the module and the name of their class: the step out of one says nothing, so no path shows it.
_BOXES = (("flax.nnx", "Variable"), ("flax.nnx", "VariableState"), ("flax.core.meta", "AxisMetadata"))
_BOX_TYPES: weakref.WeakKeyDictionary[type, bool] = weakref.WeakKeyDictionary()  # a class may be made in a function, and go


def path_of(keys: Sequence[Any]) -> str:
    """Return a path of JAX as text: its keys, attributes and indices, joined by slashes."""
    return keystr(tuple(keys), simple=True, separator="/")


def places(tree: Any) -> list[tuple[str, Any]]:
    """Return the path of each leaf and of each hole of a tree as text, and what is there.

    A variable of Flax (nnx), or a box of metadata (linen), adds nothing to the path of the array in it: "dense/kernel", not
    "dense/kernel/value".
    """
    return [(path_of(keys), leaf) for keys, leaf in _walk(tree)]


def leaves_with_paths(tree: Any) -> list[tuple[str, Any]]:
    """Return the path of each leaf of a tree as text, and the leaf; see `places`."""
    return [(path, leaf) for path, leaf in places(tree) if not is_hole(leaf)]


def with_leaves(tree: Any, new: Iterable[Any]) -> Any:
    """Return the tree with others instead of its leaves, one for each of its `places`; holes stay."""
    old, structure = jax.tree.flatten(tree, is_leaf=is_hole)
    return structure.unflatten([hole if is_hole(hole) else leaf for hole, leaf in zip(old, new, strict=True)])


def map_with_paths(f: Callable[[str, Any], Any], tree: Any) -> Any:
    """Return the tree with `f(path, leaf)` instead of each leaf; holes stay."""
    return with_leaves(tree, [leaf if is_hole(leaf) else f(path, leaf) for path, leaf in places(tree)])


def in_containers_of(params: Any, part: Any) -> Any:
    """Return a part of a state, such as an average, in the containers of the parameters, by its paths.

    Libraries put the arrays of a state in boxes of their own, and files give back others than they were given.

    Args:
      params: the parameters.
      part: a tree with some of their paths. Where it has none, there is a `MaskedNode`.

    Raises:
      ValueError: the part has a path that the parameters have not.
    """
    if jax.tree.structure(part, is_leaf=is_hole) == jax.tree.structure(params, is_leaf=is_hole):
        return part
    found = dict(leaves_with_paths(part))
    if strangers := sorted(found.keys() - dict(leaves_with_paths(params)).keys()):
        raise unnamed(ValueError, f"the state has {strangers[0]!r}, the parameters have not; is it the state of others?")
    return map_with_paths(lambda path, leaf: found.get(path, MaskedNode()), params)


def without_boxes(tree: Any) -> Any:
    """Return the tree with the arrays instead of the boxes around them; the order of the leaves is the same."""
    nodes, structure = jax.tree.flatten(tree, is_leaf=is_box)
    if not any(map(is_box, nodes)):
        return tree
    return structure.unflatten([next(iter(jax.tree.leaves(node)), node) if is_box(node) else node for node in nodes])


def _walk(node: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The keys from `node` to each leaf and hole below it, without the steps out of boxes, and what is there."""
    below, _ = tree_flatten_with_path(node, is_leaf=lambda child: is_hole(child) or (child is not node and is_box(child)))
    skipped = 1 if is_box(node) else 0
    for keys, child in below:
        keys = tuple(keys[skipped:])
        if child is not node and is_box(child):
            yield from (((*keys, *more), leaf) for more, leaf in _walk(child))
        else:
            yield keys, child


def is_box(node: Any) -> bool:
    """Whether a node is a box around one array, which no path shows."""
    if isinstance(node, tuple):  # of a state most nodes are, or holes, which are too
        return False
    kind = type(node)
    if kind not in _BOX_TYPES:
        _BOX_TYPES[kind] = _is_box_type(kind)
    return _BOX_TYPES[kind]


def _is_box_type(node_type: type) -> bool:
    return any(
        parent.__name__ == name and f"{parent.__module__}.".startswith(f"{module}.")
        for parent in node_type.__mro__
        for module, name in _BOXES
    )
