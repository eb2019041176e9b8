"""Groups of parameters, whose gradients and updates are measured each on their own."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradtx.tree.holes import MaskedNode, is_hole
from gradtx.tree.paths import leaves_with_paths, places, with_leaves
from gradtx.tree.patterns import Pattern, escaped, first_matches
from gradtx.tree.scopes import as_whole
from gradtx.tree.unmatched import refuse_unmatched


def top_level_groups(params: Any) -> dict[str, Pattern]:
    """Return a group for each of the parts that parameters have at the top, for `recorded`.

        recorded(optimizer, groups=top_level_groups(params))

    Args:
      params: the parameters. What all their paths have in common, such as "params/", is no part.
    """
    paths = [path.split("/") for path, _ in leaves_with_paths(params)]
    if len(paths) < 2:
        return {}
    depth = next(k for k, parts in enumerate(zip(*paths, strict=False)) if len(set(parts)) > 1)
    tops = dict.fromkeys(tuple(path[: depth + 1]) for path in paths)
    return {top[-1]: f"{escaped('/'.join(top))}/**" for top in tops}


def members(groups: Mapping[str, Pattern], tree: Any) -> dict[str, Any]:
    """Return for each group the tree with holes instead of all that is not in it: a leaf is in the first that it matches.

    Args:
      groups: patterns by the names of the groups.
      tree: parameters, or what has their paths.

    Raises:
      ValueError: a pattern matches no path.
    """
    leaves = places(as_whole(tree))
    if not leaves:
        return dict.fromkeys(groups, tree)
    positions = [match and match[0] for match in first_matches(list(groups.values()), leaves)]
    if not any(is_hole(leaf) for _, leaf in leaves):
        refuse_unmatched([pattern for k, pattern in enumerate(groups.values()) if k not in positions], leaves)
    own = [leaf for _, leaf in places(tree)]
    return {name: with_leaves(tree, _only(k, positions, own)) for k, name in enumerate(groups)}


def _only(position: int, positions: Sequence[int | None], leaves: Sequence[Any]) -> list[Any]:
    return [leaf if at == position else MaskedNode() for at, leaf in zip(positions, leaves, strict=True)]
