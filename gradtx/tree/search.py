"""Find and replace parts of a state by name.

A name is a field of a NamedTuple, a key of a dict, or the name of a NamedTuple. As `count` is a field of many, one of them can
be named in full, `ScaleByAdamState.count`.

`set` hides Python's own within this module.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey, GetAttrKey, SequenceKey, keystr

from gradtx.tree.holes import is_hole

Path: TypeAlias = tuple[Any, ...]
Filtering: TypeAlias = Callable[[Path, Any], bool]
_State = TypeVar("_State")


@dataclasses.dataclass(frozen=True)
class NamedTupleKey:
    """The step of a path into a field of a NamedTuple: it says which NamedTuple, as the field `count` is in many."""

    tuple_name: str
    name: str

    def __str__(self) -> str:
        return f"{self.tuple_name}.{self.name}"


class Step(NamedTuple):
    """A step down a tree: the node that is left, and the key of the child that is entered."""

    parent: Any
    key: Any


def walk(
    tree: Any, stop: Callable[[Any], bool] = lambda node: False, *, holes: bool = False
) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Yield a tree and all parts of it with the steps that lead there: from the top, leaves in the order of `jax.tree.leaves`.

    Args:
      tree: a state, or any tree.
      stop: of what nothing below is visited.
      holes: whether holes are visited. Of parameters in many groups each state has mostly holes.
    """
    waiting: list[tuple[tuple[Step, ...], Any]] = [((), tree)]  # not one generator in another, which takes longer at each depth
    while waiting:
        steps, node = waiting.pop()
        yield steps, node
        if not stop(node):
            waiting += [((*steps, Step(node, key)), child) for key, child in reversed(_children(node, holes))]


def is_leaf(node: Any) -> bool:
    """Return whether a node of a tree is a leaf."""
    return isinstance(node, _ARRAYS) or jax.tree_util.all_leaves([node])


def get_all_with_path(tree: Any, key: Any, filtering: Filtering | None = None) -> list[tuple[Path, Any]]:
    """Return `(path, value)` for every part of a tree that is named `key`.

    Args:
      tree: a state, or any tree.
      key: a field of a NamedTuple or dataclass, a key of a dict, the name of a NamedTuple, or that of a field in full, such as
        "ScaleByAdamState.count".
      filtering: a function of the path and the value; what it is false for is left out. A path holds `DictKey`,
        `SequenceKey` and `GetAttrKey` of `jax.tree_util`, and `NamedTupleKey`; `jax.tree_util.keystr` prints it.
    """
    named = [(_path(steps), node) for steps, node in walk(tree, holes=True) if _is_named(key, steps, node)]
    return named if filtering is None else [(path, node) for path, node in named if filtering(path, node)]


def get(tree: Any, key: Any, default: Any = None, filtering: Filtering | None = None) -> Any:
    """Return the part of a tree that is named `key`, or `default` if there is none.

        get(state, "learning_rate")              what the last update of an `inject_hyperparams` used
        get(state, "ScaleByAdamState.count")     where there are other counts

    A name that a hyperparameter has means the hyperparameter, not its schedule or a field of the same name.

    Args:
      tree: a state, or any tree.
      key: see `get_all_with_path`.
      default: what to return if nothing has the name.
      filtering: see `get_all_with_path`.

    Raises:
      KeyError: several parts have the name.
    """
    found = _meant(tree, key, filtering)
    if len(found) > 1:
        raise KeyError(
            f"get: {len(found)} values are named {key!r}: {_listed(path for path, _ in found)}. "
            f"{_by_full_name(path for path, _ in found)} filtering=lambda path, value: ..., or call get_all_with_path."
        )
    return found[0][1] if found else default


def get_only(owner: str, state: Any, state_type: type[_State]) -> _State:
    """Return the one state of a type that there is in a state, at any depth.

    Args:
      owner: the function that needs it, for the error.
      state: the state of an optimizer.
      state_type: a NamedTuple.

    Raises:
      ValueError: there is none, or there are several.
    """
    name = state_type.__name__
    found = get_all_with_path(state, name)
    if len(found) != 1:
        places = f": {_listed(path for path, _ in found)}; pass one of them" if found else ""
        raise ValueError(f"{owner} needs a state with one {name} in it, got {len(found) or 'none'}{places}.")
    return found[0][1]


def is_namedtuple(node: Any) -> bool:
    """Return whether a node of a tree is a NamedTuple."""
    return isinstance(node, tuple) and hasattr(node, "_fields")


def set(tree: Any, filtering: Filtering | None = None, /, **kwargs: Any) -> Any:
    """Return a tree in which every part that has one of the given names is replaced.

    A name that a hyperparameter has means the hyperparameter alone, as in `get`. A number that replaces a scalar array
    takes its dtype; one that replaces a scheduled hyperparameter a weak one, which tells `inject_hyperparams` that it was set.

    Args:
      tree: a state, or any tree.
      filtering: see `get_all_with_path`; what it is false for stays.
      **kwargs: the new value for each name.

    Raises:
      KeyError: nothing has one of the names, or `filtering` leaves none.
    """
    values = {}
    for key, value in kwargs.items():
        found = _meant(tree, key, filtering)
        if not found:
            raise KeyError(f"set: {_why_nothing(tree, key)}")
        values |= {path: _in_place_of(old, value, weak=_follows_schedule(tree, path)) for path, old in found}
    return _replaced(tree, values)


def map_named(tree: Any, key: Any, f: Callable[[Any], Any]) -> Any:
    """Return a tree with `f(part)` instead of every part that is named `key`; see `get_all_with_path`.

    Raises:
      KeyError: nothing has the name.
    """
    found = get_all_with_path(tree, key)
    if not found:
        raise KeyError(_why_nothing(tree, key))
    return _replaced(tree, {path: f(part) for path, part in found})


def _meant(tree: Any, key: Any, filtering: Filtering | None) -> list[tuple[Path, Any]]:
    """What has a name, or of that the hyperparameters: their schedules have their names, and other fields may."""
    found = get_all_with_path(tree, key, filtering)
    return [(path, value) for path, value in found if _is_hyperparameter(path)] or found


def _is_hyperparameter(path: Path) -> bool:
    match path[-2:]:
        case (NamedTupleKey(name="hyperparams"), DictKey()):
            return True
    return False


def _follows_schedule(tree: Any, path: Path) -> bool:
    """Whether there is a state of a schedule beside a hyperparameter."""
    if not _is_hyperparameter(path):
        return False
    *above, field, name = path
    schedule = (*above, dataclasses.replace(field, name="hyperparams_states"), name)
    return any(found == schedule for found, _ in get_all_with_path(tree, name.key))


def _in_place_of(old: Any, value: Any, weak: bool) -> Any:
    """The value; a number that replaces an array becomes one, as one of another type would have `jit` trace again."""
    is_number = isinstance(value, bool | int | float)
    if not is_number or not isinstance(old, jax.Array) or old.ndim:
        return value
    return jnp.asarray(float(value)) if weak else jnp.asarray(value, old.dtype)


def _replaced(node: Any, values: Mapping[Path, Any]) -> Any:
    """The tree with values at some paths below it."""
    if () in values:
        return values[()]
    keys, (children, structure) = [key for key, _ in _children(node)], jax.tree.flatten(node, is_leaf=lambda x: x is not node)
    below = [{path[1:]: value for path, value in values.items() if path[0] == key} for key in keys]
    return structure.unflatten([_replaced(*pair) if pair[1] else pair[0] for pair in zip(children, below, strict=True)])


_ARRAYS = (jax.Array, np.ndarray, jax.ShapeDtypeStruct, bool, int, float)


def _children(node: Any, holes: bool = True) -> list[tuple[Any, Any]]:
    """The keys and the nodes directly below a node: JAX's, but the key of a NamedTuple says which NamedTuple."""
    if is_hole(node) or isinstance(node, _ARRAYS):
        return []
    if type(node) in (tuple, list):
        return [(SequenceKey(k), child) for k, child in enumerate(node) if holes or not is_hole(child)]
    if type(node) is dict and {*map(type, node)} <= {str}:  # others are sorted by JAX's own rules
        return [(DictKey(key), node[key]) for key in sorted(node) if holes or not is_hole(node[key])]
    below, structure = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda child: child is not node)
    if jax.tree_util.treedef_is_leaf(structure):
        return []
    if is_namedtuple(node):
        below = [((NamedTupleKey(type(node).__name__, key.name),), child) for (key,), child in below]
    return [(key, child) for (key,), child in below if holes or not is_hole(child)]


def _path(steps: tuple[Step, ...]) -> Path:
    return tuple(step.key for step in steps)


def _is_named(wanted: Any, steps: tuple[Step, ...], node: Any) -> bool:
    """Whether a node is called so: by the last step to it, in full if into a NamedTuple, or by its type if it is one."""
    if type(node).__name__ == wanted and is_namedtuple(node):
        return True
    key = steps[-1].key if steps else None
    return wanted in _name(key) or (isinstance(key, NamedTupleKey) and wanted == str(key))


def _name(key: Any) -> tuple[Any, ...]:
    """The name that a step of a path gives, if any."""
    if isinstance(key, DictKey):
        return (key.key,)
    return (key.name,) if isinstance(key, NamedTupleKey | GetAttrKey) else ()


def _full_name(path: Path) -> tuple[str, ...]:
    """The last step of a path, if it goes into a NamedTuple."""
    return (str(path[-1]),) if path and isinstance(path[-1], NamedTupleKey) else ()


def _listed(paths: Any) -> str:
    return ", ".join(keystr(path) or "the tree itself" for path in paths)


def _by_full_name(paths: Iterator[Path]) -> str:
    """How to choose one of several paths, where one of them has a full name of its own."""
    names = [name for path in paths for name in _full_name(path)]
    alone = [name for name in names if names.count(name) == 1]
    return f"Name one in full, such as {alone[0]!r}, or choose with" if alone else "Choose one with"


def _why_nothing(tree: Any, key: str) -> str:
    found = get_all_with_path(tree, key)
    if found:
        return f"filtering leaves none of the {len(found)} values that are named {key!r}: {_listed(path for path, _ in found)}."
    names = dict.fromkeys(str(name) for steps, _ in walk(tree, holes=True) for name in _name(steps[-1].key if steps else None))
    return f"nothing is named {key!r}; there are {', '.join(names) or 'no names'}."
