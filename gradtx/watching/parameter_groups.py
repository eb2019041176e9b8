"""Groups of parameters, whose gradients and updates are measured each on their own."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradtx.tree.holes import MaskedNode, is_hole
from gradtx.tree.paths import leaves_with_paths, places, with_leaves
from gradtx.tree.patterns import Pattern, first_matches
from gradtx.tree.scopes import as_whole
from gradtx.tree.unmatched import refuse_unmatched

_MANY = 20  # groups: more are a table that nobody reads, and each is traced on its own


def first_parts(params: Any) -> dict[str, Pattern]:
    """Return a pattern for each of the parts that parameters have at the top; none if there is but one, or very many.

    Args:
      params: the parameters. What all their paths have in common, such as "params/", is no part.
    """
    paths = [path.split("/") for path, _ in leaves_with_paths(params)]
    if len(paths) < 2:
        return {}
    depth = next(k for k, parts in enumerate(zip(*paths, strict=False)) if len(set(parts)) > 1)
    found = dict.fromkeys("/".join(path[: depth + 1]) for path in paths)
    if len(found) > _MANY:
        return {}
    return {name.split("/")[-1]: _below(name) for name in found}


def members(groups: Mapping[str, Pattern], tree: Any) -> dict[str, Any]:
    """Return for each group the tree with holes instead of all that is not in it: a leaf is in the first that it matches.

    Args:
      groups: patterns by the names of the groups.
      tree: parameters, or what has their paths.

    Raises:
      ValueError: a pattern matches no path.
    """
    if not groups:
        return {}
    leaves = places(as_whole(tree))
    positions = [match and match[0] for match in first_matches(list(groups.values()), leaves)]
    if not any(is_hole(leaf) for _, leaf in leaves):
        refuse_unmatched([pattern for k, pattern in enumerate(groups.values()) if k not in positions], leaves)
    own = [leaf for _, leaf in places(tree)]
    return {name: with_leaves(tree, _only(k, positions, own)) for k, name in enumerate(groups)}


def _only(position: int, positions: Sequence[int | None], leaves: Sequence[Any]) -> list[Any]:
    return [leaf if at == position else MaskedNode() for at, leaf in zip(positions, leaves, strict=True)]


def _below(path: str) -> Pattern:
    """What matches a path, and all that is below it; no glob, as a key may have a star in it."""
    return lambda leaf_path, _: leaf_path == path or leaf_path.startswith(f"{path}/")
