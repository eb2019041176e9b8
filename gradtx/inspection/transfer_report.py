"""What became of the entries of a state."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gradtx.inspection.transfer_matching import are_apart
from gradtx.inspection.transfer_nodes import Entry, Key, Node, titles_of
from gradtx.inspection.transfer_placing import are_equal, is_larger

WhyNot: TypeAlias = Callable[[Entry, Entry], str | None]
"""Why a new entry cannot take the value of an old one; None if it can."""

_SHOWN = 20


@dataclass(frozen=True)
class TransferReport:
    """The entries of a new state that an old one gave, those that begin anew, each with the reason, and those left behind."""

    kept: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((*_listed("kept", self.kept), *_listed("new", self.new), *_listed("dropped", self.dropped)))


def report_of(new: Sequence[Node], old: Sequence[Node], sources: Mapping[int, Entry], why_not: WhyNot) -> TransferReport:
    """Return the report on a transfer.

    Args:
      new: the nodes of the new state.
      old: those of the old one.
      sources: the old entry for each position of a new entry that has one.
      why_not: why a new entry cannot take the value of an old one.
    """
    used = {source.position for source in sources.values()}
    kept, begun, left = [], [], []
    for title, node in zip(titles_of(new), new, strict=True):
        for key, entry in node.entries.items():
            if entry.position in sources:
                kept.append(title + entry.name + _growth(entry, sources[entry.position]))
            else:
                begun.append(f"{title}{entry.name}: {_why_new(entry, _counterparts(node, key, old), used, why_not)}")
    for title, node in zip(titles_of(old), old, strict=True):
        left += [title + entry.name for key, entry in node.entries.items() if not _is_kept(node, key, old, used)]
    return TransferReport(tuple(kept), tuple(begun), tuple(left))


def _listed(word: str, names: tuple[str, ...]) -> list[str]:
    more = [f"  ... and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return [f"{word}: {len(names) or 'nothing'}", *(f"  {name}" for name in names[:_SHOWN]), *more]


def _growth(entry: Entry, source: Entry) -> str:
    shapes = np.shape(entry.value), np.shape(source.value)
    return f": grown from {shapes[1]} to {shapes[0]}" if is_larger(entry.value, source.value) else ""


def _why_new(entry: Entry, counterparts: Sequence[Entry], used: Collection[int], why_not: WhyNot) -> str:
    if not counterparts:
        return "no counterpart"
    reasons = [why_not(entry, counterpart) for counterpart in counterparts]
    if all(reasons):
        return reasons[0] or ""
    if all(counterpart.position in used for counterpart in counterparts):
        return "its counterpart continues elsewhere"
    return "nothing beside it is kept"


def _counterparts(node: Node, key: Key, others: Sequence[Node]) -> list[Entry]:
    return [other.entries[key] for other in others if other.family == node.family and key in other.entries]


def _is_kept(node: Node, key: Key, nodes: Sequence[Node], used: Collection[int]) -> bool:
    """Whether an old entry is in the new state, as itself, or as the count of another group that was the same."""
    entry = node.entries[key]
    if entry.position in used or entry.parameter is not None:
        return entry.position in used
    others = [other for other in nodes if other.family == node.family and are_apart(node, other, nodes)]
    twins = [twin for twin in _counterparts(node, key, others) if twin.position in used]
    return any(are_equal(twin.value, entry.value) for twin in twins)
