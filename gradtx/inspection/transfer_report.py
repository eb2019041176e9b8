"""What became of the leaves of a state."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gradtx.inspection.transfer_forms import absent, form_of, is_converted
from gradtx.inspection.transfer_matching import are_apart, are_equal, is_larger
from gradtx.inspection.transfer_substates import Key, Leaf, Substate, titles_of

WhyNot: TypeAlias = Callable[[Leaf, Leaf], str | None]
"""Why a new leaf cannot take the value of an old one; None if it can."""

_SHOWN = 20


@dataclass(frozen=True)
class TransferReport:
    """What a new state has of an old one, and what not.

    Attributes:
      kept: the leaves that the old one gave as they were.
      new: those that start again, each with the reason.
      dropped: those of the old one that were left behind.
      converted: the leaves that the old one gave in another dtype or code, each with both.
    """

    kept: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]
    converted: tuple[str, ...] = ()

    def __str__(self) -> str:
        converted = _listed("converted", self.converted) if self.converted else []
        return "\n".join(
            (*_listed("kept", self.kept), *converted, *_listed("new", self.new), *_listed("dropped", self.dropped))
        )


def report_of(new: Sequence[Substate], old: Sequence[Substate], sources: Mapping[int, Leaf], why_not: WhyNot) -> TransferReport:
    """Return the report on a transfer.

    Args:
      new: the substates of the new state.
      old: those of the old one.
      sources: the old leaf for each position of a new leaf that has one.
      why_not: why a new leaf cannot take the value of an old one.
    """
    used = {source.position for source in sources.values()}
    kept, converted, begun, left = [], [], [], []
    for title, substate in zip(titles_of(new), new, strict=True):
        for key, leaf in substate.leaves.items():
            if (source := sources.get(leaf.position)) is None:
                begun.append(f"{title}{leaf.name}: {_why_new(leaf, _counterparts(substate, key, old), used, why_not)}")
            elif is_converted(leaf.value, source.value):
                forms = f": from {form_of(source.value)} to {form_of(leaf.value)}"
                converted.append(title + leaf.name + forms + _growth(leaf, source))
            else:
                kept.append(title + leaf.name + _growth(leaf, source))
    for title, substate in zip(titles_of(old), old, strict=True):
        left += [title + leaf.name for key, leaf in substate.leaves.items() if not _is_kept(substate, key, old, used)]
    return TransferReport(tuple(kept), tuple(begun), tuple(left), tuple(converted))


def _listed(word: str, names: tuple[str, ...]) -> list[str]:
    more = [f"  ... and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return [f"{word}: {len(names) or 'nothing'}", *(f"  {name}" for name in names[:_SHOWN]), *more]


def _growth(leaf: Leaf, source: Leaf) -> str:
    shapes = np.shape(leaf.value), np.shape(source.value)
    return f": grown from {shapes[1]} to {shapes[0]}" if is_larger(leaf.value, source.value) else ""


def _why_new(leaf: Leaf, counterparts: Sequence[Leaf], used: Collection[int], why_not: WhyNot) -> str:
    if not counterparts:
        return absent(leaf.value)
    reasons = [why_not(leaf, counterpart) for counterpart in counterparts]
    if all(reasons):
        return reasons[0] or ""
    if all(counterpart.position in used for counterpart in counterparts):
        return "its counterpart continues elsewhere"
    return "nothing beside it is kept"


def _counterparts(substate: Substate, key: Key, others: Sequence[Substate]) -> list[Leaf]:
    return [other.leaves[key] for other in others if other.state_type == substate.state_type and key in other.leaves]


def _is_kept(substate: Substate, key: Key, substates: Sequence[Substate], used: Collection[int]) -> bool:
    """Whether an old leaf is in the new state, as itself, or as the count of another group that was the same."""
    leaf = substate.leaves[key]
    if leaf.position in used or leaf.parameter is not None:
        return leaf.position in used
    others = [other for other in substates if other.state_type == substate.state_type and are_apart(substate, other, substates)]
    twins = [twin for twin in _counterparts(substate, key, others) if twin.position in used]
    return any(are_equal(twin.value, leaf.value) for twin in twins)
