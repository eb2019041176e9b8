"""A state as a list of substates: its NamedTuples, each with its own arrays, by names that outlive the composition.

The moment `mu` of the parameter "layers/0/bias" is found again by the type of its NamedTuple, its field and the path of its
parameter, wherever in a chain, a group or a wrapper that NamedTuple is, and whatever containers the parameters are in.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from jax.tree_util import DictKey, GetAttrKey, keystr

from gradtx.core.hyperparameters import numbered
from gradtx.errors import unnamed
from gradtx.tree.paths import is_box, path_of
from gradtx.tree.quantized import is_quantized
from gradtx.tree.search import NamedTupleKey, Step, is_leaf, is_namedtuple, walk

IsState: TypeAlias = Callable[[Any, bool], bool]
"""Whether a NamedTuple is a substate and no container of the parameters, given whether it is inside of a substate."""


# States that hold the same, where one transformation replaces another.
_EQUIVALENT_TYPES = {
    "InjectHyperparamsState": "InjectStatefulHyperparamsState",
    "WeightDecaySchedule": "ScaleByScheduleState",
    "WrappedScheduleState": "ScaleByScheduleState",
}


class Key(NamedTuple):
    """What a leaf is called within its substate: the field, and the path below it, which begins with that of a parameter."""

    field: str
    path: str


@dataclass(frozen=True)
class Leaf:
    """One array of a state: its position among the leaves, its value, its parameter if it has one, and its path.

    The path is that below the field, by its own name; the name begins with the field.
    """

    position: int
    value: Any
    parameter: str | None
    path: str
    name: str


@dataclass(frozen=True)
class Substate:
    """One NamedTuple of a state: the name of its type, the steps that lead to it, the labels among them, its arrays."""

    kind: str
    place: tuple[str, ...]
    labels: tuple[str, ...]
    leaves: dict[Key, Leaf] = field(default_factory=dict)

    @property
    def state_type(self) -> str:
        """The kind, or the equivalent one that stands for all that hold the same."""
        return _EQUIVALENT_TYPES.get(self.kind, self.kind)


def substates_of(
    state: Any, is_state: IsState, parameters: Collection[str], renamed: Callable[[str], str] = lambda path: path
) -> list[Substate]:
    """Return the substates of a state that have arrays of their own, from left to right.

    Args:
      state: a tree of NamedTuples, tuples, dicts and arrays.
      is_state: which NamedTuples are substates. What is in none of them is in a substate without a name.
      parameters: the paths of the parameters.
      renamed: what to call a path below a field.
    """
    substates: dict[tuple[str, ...], Substate] = {}
    for position, (steps, value) in enumerate(_leaves(state)):
        above, below = _split_at_owner(steps, is_state)
        place = tuple(map(_name, above))
        if place not in substates:
            kind = type(below[0].parent).__name__ if below and is_namedtuple(below[0].parent) else ""
            labels = tuple(str(step.key.key) for step in above if isinstance(step.key, DictKey))
            substates[place] = Substate(kind, place, labels)
        substate = substates[place]
        own, path = ("", _path(below)) if not substate.kind else (below[0].key.name, _path(below[1:]))
        key = Key(own, renamed(path))
        name = (f".{own}" if own else "") + (f"/{path}" if path else "")
        leaf = Leaf(position, value, parameter_of(key.path, parameters), path, name)
        substate.leaves[_free(key, leaf, substate)] = leaf
    return list(substates.values())


def states_for(params: Any, known: Collection[str] | None = None) -> IsState:
    """Return which NamedTuples of a state are substates; a quantized array is none, but two arrays of its parameter.

    Args:
      params: the parameters, whose containers are not substates.
      known: if given, a NamedTuple within a substate is one itself only if its type has one of these names, or one that ends in
        "State": any other may be a container that the parameters once had.
    """
    containers = containers_of(params)

    def is_state(node: Any, is_inside: bool) -> bool:
        name = type(node).__name__
        is_known = known is None or name in known or name.endswith("State")
        return name not in containers and (is_known or not is_inside) and not is_quantized(node)

    return is_state


def titles_of(substates: Sequence[Substate]) -> list[str]:
    """Return a readable name for each substate: its labels and its type, with an index where several have the same."""
    return numbered(".".join((*substate.labels, substate.kind or "state")) for substate in substates)


def parameter_of(path: str, parameters: Collection[str]) -> str | None:
    """Return the parameter at a path or above it, as a parameter may have several arrays; None if there is none."""
    while path not in parameters:
        if not path:
            return None
        path = path.rpartition("/")[0]
    return path


def containers_of(tree: Any) -> frozenset[str]:
    """Return the names of the NamedTuples that there are in a tree."""
    return frozenset(type(step.parent).__name__ for steps, _ in _leaves(tree) for step in steps if is_namedtuple(step.parent))


def _leaves(tree: Any) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """The leaves in the order of `jax.tree.leaves`, each with the steps that lead to it."""
    return ((steps, node) for steps, node in walk(tree) if is_leaf(node))


def _split_at_owner(steps: tuple[Step, ...], is_state: IsState) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The steps to the last substate, and those from it; where there is none, those to the end of the chains, and the rest."""
    depth = None
    for position, step in enumerate(steps):
        if is_namedtuple(step.parent) and is_state(step.parent, depth is not None):
            depth = position
    if depth is None:
        depth = next((at for at, step in enumerate(steps) if not isinstance(step.parent, tuple | list)), len(steps))
    return steps[:depth], steps[depth:]


def _free(key: Key, leaf: Leaf, substate: Substate) -> Key:
    """The key, or another where two keys with slashes in them have led to it; two names must not become one."""
    while key in substate.leaves:
        paths = {leaf.path, substate.leaves[key].path}
        if len(paths) > 1:
            raise unnamed(ValueError, f"renamed makes one of {' and '.join(map(repr, sorted(paths)))}, which are two.")
        key = key._replace(path=f"{key.path}'")
    return key


def _name(step: Step) -> str:
    return str(step.key) if isinstance(step.key, NamedTupleKey) else keystr((step.key,), simple=True)


def _path(steps: tuple[Step, ...]) -> str:
    keys = [step.key for step in steps if not is_box(step.parent)]
    return path_of([GetAttrKey(key.name) if isinstance(key, NamedTupleKey) else key for key in keys])
