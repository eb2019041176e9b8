"""Which entry of an old state continues as which entry of a new one."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from gradtx.inspection.transfer_nodes import Entry, Key, Node

Fits: TypeAlias = Callable[[Entry, Entry], bool]
"""Whether a new entry can take the value of an old one."""


class _Pair(NamedTuple):
    """A new and an old node of one family, by their ranks, and the keys under which an entry of the one fits the other."""

    new: int
    old: int
    own: list[Key]  # of the parameters
    shared: list[Key]  # of all of them, such as a count


def matched(new: Sequence[Node], old: Sequence[Node], fits: Fits) -> dict[int, Entry]:
    """Return the old entry for each position of a new entry that has one.

    A node takes from the old nodes of its family, beginning with the one that has most for it, then the one of like labels and
    rank. So a node may be split among groups, and several be joined. No array of a parameter is taken twice, and what is
    shared by the parameters, such as a count, comes along with one of theirs.

    Args:
      new: the nodes of the new state.
      old: those of the old one.
      fits: whether a new entry can take the value of an old one.
    """
    sources: dict[int, Entry] = {}
    used: set[int] = set()
    served: dict[int, list[Node]] = {}
    for pair in _pairs(new, old, fits):
        ours, theirs = new[pair.new], old[pair.old]
        own = [
            key for key in pair.own if theirs.entries[key].position not in used and ours.entries[key].position not in sources
        ]
        together = own or (_is_shared(ours) and all(are_apart(ours, other, new) for other in served.get(pair.old, [])))
        shared = [key for key in pair.shared if together and ours.entries[key].position not in sources]
        sources |= {ours.entries[key].position: theirs.entries[key] for key in (*own, *shared)}
        used |= {theirs.entries[key].position for key in own}
        if shared:
            served.setdefault(pair.old, []).append(ours)
    return sources


def _pairs(new: Sequence[Node], old: Sequence[Node], fits: Fits) -> list[_Pair]:
    """The pairs of nodes of one family, those that belong together first."""
    pairs = []
    for family in dict.fromkeys(node.family for node in new):
        theirs = [position for position, node in enumerate(old) if node.family == family]
        ours = [position for position, node in enumerate(new) if node.family == family]
        for rank, position in enumerate(ours):
            for other_rank, other in enumerate(theirs):
                pair = _pair(position, other, new, old, fits)
                common = len(set(new[position].labels) & set(old[other].labels))
                alike = new[position].kind == old[other].kind
                order = (-len(pair.own), -len(pair.shared), not alike, -common, abs(rank - other_rank))
                pairs.append((order, pair))
    return [pair for _, pair in sorted(pairs, key=lambda ordered: ordered[0])]


def _pair(position: int, other: int, new: Sequence[Node], old: Sequence[Node], fits: Fits) -> _Pair:
    ours, theirs = new[position].entries, old[other].entries
    common = [key for key in ours if key in theirs and fits(ours[key], theirs[key])]
    own = [key for key in common if ours[key].parameter is not None]
    return _Pair(position, other, own, [key for key in common if ours[key].parameter is None])


def _is_shared(node: Node) -> bool:
    """Whether nothing in a node belongs to one parameter."""
    return all(entry.parameter is None for entry in node.entries.values())


def are_apart(one: Node, other: Node, nodes: Sequence[Node]) -> bool:
    """Return whether two of the nodes of a state never see the same parameter.

    They are in different groups of one partition, or, as behind two masks, beside moments of different parameters.
    """
    depth = next((at for at, (a, b) in enumerate(zip(one.place, other.place, strict=False)) if a != b), 0)
    if depth > 0 and one.place[depth - 1] == "PartitionState.inner_states":
        return True
    seen, also_seen = _parameters_around(one, nodes), _parameters_around(other, nodes)
    return bool(seen and also_seen) and not seen & also_seen


def _parameters_around(node: Node, nodes: Sequence[Node]) -> set[str | None]:
    """The parameters that have an entry nearest to a node: in it, or else in what is beside it, and so on."""
    for depth in range(len(node.place), -1, -1):
        near = [other for other in nodes if other.place[:depth] == node.place[:depth]]
        if parameters := {entry.parameter for other in near for entry in other.entries.values()} - {None}:
            return parameters
    return set()
