"""What the arguments of a transfer mean, and what is wrong with them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gradtx.core import Params, is_transformation
from gradtx.inspection.transfer_nodes import Node, containers_of, parameter_of
from gradtx.tree.paths import leaves_with_paths
from gradtx.tree.patterns import Pattern, check_pattern, find
from gradtx.tree.unmatched import listed, nothing_matches
from gradtx.wrappers.lookahead import is_pair


def check_order(owner: str, state: Any, tx: Any, params: Any) -> None:
    """Raise `TypeError` if the arguments of `owner` are clearly in another order."""
    order = f"Call {owner}({'old_state' if owner == 'transfer_state' else 'state'}, tx, params)."
    if not is_transformation(tx):
        raise TypeError(f"{owner}: tx must be a transformation, got a {type(tx).__name__}. {order}")
    if states := sorted(name for name in containers_of(params) if name.endswith("State")):
        raise TypeError(f"{owner}: params must be parameters, and there is a {states[0]} in them. {order}")
    if callable(getattr(state, "init", None)):
        raise TypeError(f"{owner}: the state comes first, got a transformation. {order}")


def refuse_params(old_state: Any, new_state: Any, params: Any) -> None:
    """Raise `TypeError` if the old state is like the parameters, and the new one is not."""
    like_params = jax.tree.structure(old_state) == jax.tree.structure(params)
    if like_params and jax.tree.structure(new_state) != jax.tree.structure(params):
        raise TypeError("transfer_state: old_state is like the parameters. Call transfer_state(old_state, tx, params).")


def chosen(owner: str, pattern: Pattern | bool, params: Params) -> Callable[[str], bool]:
    """Return a function of the path of a parameter: whether a pattern means it, which must mean one at least."""
    if isinstance(pattern, bool) or pattern == ():
        return lambda path: bool(pattern)
    check_pattern(pattern)
    leaves = leaves_with_paths(_model(params))
    paths = {path for path, leaf in leaves if find(pattern, path, leaf) is not None}
    if not paths:
        raise ValueError(f"{owner}: {nothing_matches(pattern, leaves)}")
    return paths.__contains__


def paths_of(params: Params) -> frozenset[str]:
    """Return the paths by which a state may know the parameters."""
    return frozenset(path for tree in (params, _model(params)) for path, _ in leaves_with_paths(tree))


def renaming(renamed: Mapping[str, str], parameters: Collection[str]) -> Callable[[str], str]:
    """Return a function of a path below a field: the same with the new name of its parameter; a hyperparameter keeps its."""

    def rename(path: str) -> str:
        for old in sorted(renamed, key=len, reverse=True):
            if _is_below(path, old):
                new = "/".join(filter(None, (renamed[old], path[len(old) :].strip("/"))))
                return new if parameter_of(new, parameters) is not None else path
        return path

    return rename


def check_renamed(renamed: Mapping[str, str], old: Sequence[Node], parameters: Collection[str]) -> None:
    """Raise `ValueError` if a name in `renamed` means nothing."""
    paths = {entry.path for node in old for entry in node.entries.values()}
    for before, after in renamed.items():
        if not any(_is_below(path, before) for path in paths):
            raise ValueError(f"transfer_state: renamed has {before!r}, but the old state has nothing for such a parameter.")
        if not any(_is_below(path, after) for path in parameters):
            raise ValueError(
                f"transfer_state: renamed has {after!r}, but there is no such parameter: {listed(sorted(parameters))}."
            )


def has_shapes_alone(tree: Any) -> bool:
    """Return whether there is a leaf without a value."""
    return any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(tree))


def have_same_shapes(one: Any, other: Any) -> bool:
    """Return whether two trees have the same structure, and leaves of the same shapes."""
    leaves, others = jax.tree.leaves(one), jax.tree.leaves(other)
    return jax.tree.structure(one) == jax.tree.structure(other) and [*map(np.shape, leaves)] == [*map(np.shape, others)]


def _model(params: Params) -> Any:
    """The parameters whose paths are in a state: of two sets of them, as `lookahead` has, those of either."""
    return params.fast if is_pair(params) else params


def _is_below(path: str, above: str) -> bool:
    return not above or path == above or path.startswith(f"{above}/")
