"""`map_params`: which parts of a state belong to the parameters, found by making a state of placeholders.

A placeholder is a node without leaves, so whatever `init` maps over the parameters leaves it as it is, and where one shows
up in the state that `init` makes, there is the part of a parameter.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from gradtx.tree.holes import is_hole


@functools.partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["position"])
@dataclasses.dataclass(frozen=True)
class _Placeholder:
    """What stands for the parameters, or for a part of them, the one at `position` among all parts."""

    position: int = 0


def map_params(
    initable: Any,
    f: Callable[..., Any],
    state: Any,
    /,
    *rest: Any,
    transform_non_params: Callable[[Any], Any] | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Apply a function to those leaves of a state that belong to a parameter, such as moments.

    To shard a state as its parameters:

        map_params(optimizer, lambda _, sharding: sharding, state, shardings, transform_non_params=lambda _: replicated)

    Holes stay holes, unless `is_leaf` says otherwise.

    Args:
      initable: the transformation that made the state, or its `init`.
      f: a function of a leaf of the state, and of what the trees `rest` have for its parameter. A parameter may have several
        leaves, or one of another shape.
      state: the state.
      *rest: trees of the structure of the parameters.
      transform_non_params: a function for all other leaves; by default they stay as they are.
      is_leaf: which nodes among the parts of parameters to take for leaves, as in `jax.tree.map`.

    Raises:
      ValueError: `init` can make no state of placeholders that is like `state`.
    """
    if not jax.tree.leaves(state, is_leaf=is_leaf):
        return state
    init = getattr(initable, "init", initable)
    structure, marked = _marked_state(init, state)

    def is_whole(node: Any) -> bool:
        """Whether a node stands for all parameters, with holes instead of some, maybe."""
        return jax.tree.structure(node, is_leaf=_is_mark) == structure and not jax.tree.leaves(node)

    def transform(mark: Any, part: Any) -> Any:
        if is_whole(mark):
            return _map_part(f, part, rest, is_leaf)
        if isinstance(mark, _Placeholder):
            return _map_part(f, part, [structure.flatten_up_to(tree)[mark.position] for tree in rest], is_leaf)
        return part if transform_non_params is None else jax.tree.map(transform_non_params, part)

    return jax.tree.map(transform, marked, state, is_leaf=lambda node: _is_placeholder(node) or is_whole(node))


def _map_part(f: Callable[..., Any], part: Any, rest: Sequence[Any], is_leaf: Callable[[Any], bool] | None) -> Any:
    def wanted(node: Any) -> bool:
        return is_leaf is not None and is_leaf(node)

    def descend(node: Any, *others: Any) -> Any:
        if wanted(node):
            return f(node, *others)
        if _is_leaf(node):
            return node if is_hole(node) else f(node, *others)
        children, structure = jax.tree.flatten(node, is_leaf=lambda below: below is not node)
        if all(map(_is_leaf, others)):  # several leaves for one parameter
            return structure.unflatten([descend(child, *others) for child in children])
        columns = [structure.flatten_up_to(other) for other in others]
        return structure.unflatten(map(descend, children, *columns))

    return descend(part, *rest)


def _marked_state(init: Callable[[Any], Any], state: Any) -> tuple[Any, Any]:
    """A structure of the parameters that `init` takes, and the state it makes of placeholders, which is like `state`."""
    failure = None
    for structure in _structures_of_params(state):
        placeholders = [_Placeholder(position) for position in range(structure.num_leaves)]
        try:
            marked = _without_more(init(structure.unflatten(placeholders)), state)
            jax.tree.map(lambda mark, part: None, marked, state, is_leaf=_is_placeholder)
            return structure, marked
        except Exception as error:
            failure = failure or error
    raise ValueError(f"map_params: init makes no such state of placeholders for the parameters: {failure}") from failure


def _without_more(marked: Any, state: Any) -> Any:
    """The state of placeholders without entries of a dict that `state` lacks: `grouped` makes some only if needed."""
    if _is_placeholder(marked) or type(marked) is not type(state):
        return marked
    if isinstance(marked, dict) and marked.keys() > state.keys():
        marked = type(marked)((key, marked[key]) for key in marked if key in state)
    below, structure = jax.tree.flatten(marked, is_leaf=lambda node: node is not marked)
    others = jax.tree.flatten(state, is_leaf=lambda node: node is not state)[0]
    if jax.tree_util.treedef_is_leaf(structure) or len(below) != len(others):
        return marked
    return structure.unflatten(map(_without_more, below, others))


def _structures_of_params(state: Any) -> Iterator[Any]:
    """Structures that the parameters may have, as seen from the state.

    One placeholder for all of them is enough for most. A mask, or labels, given as a tree want parameters of the same
    structure; then the parameters look like some part of the state, with the holes instead of leaves.
    """
    yield jax.tree.structure(0)
    parts = dict.fromkeys(_parts(jax.tree.structure(state, is_leaf=is_hole)))
    yield from (part for part in parts if part.num_leaves)


def _parts(structure: Any) -> Iterator[Any]:
    yield structure
    for child in structure.children():
        yield from _parts(child)


def _is_placeholder(node: Any) -> bool:
    return isinstance(node, _Placeholder)


def _is_mark(node: Any) -> bool:
    return _is_placeholder(node) or is_hole(node)


def _is_leaf(node: Any) -> bool:
    return is_hole(node) or jax.tree_util.all_leaves([node])
