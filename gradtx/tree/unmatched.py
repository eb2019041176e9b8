"""Say which pattern matches nothing, and what was meant, maybe."""

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gradtx.errors import unnamed
from gradtx.tree.holes import is_hole
from gradtx.tree.patterns import Pattern, asks_for_leaves, may_match, shown

_SHOWN = 8  # paths in an error

PathLeaf = tuple[str, Any]
"""The path of a leaf or of a hole of a tree, and what is there."""


def is_whole(places: Sequence[PathLeaf]) -> bool:
    """Whether a tree has leaves, and no mask has left holes among them: only then is it wrong to match nothing."""
    return bool(places) and not any(is_hole(leaf) and leaf is not None for _, leaf in places)


def refuse_unmatched(patterns: Iterable[Pattern], places: Sequence[PathLeaf]) -> None:
    """Raise `ValueError` for the first pattern that matches nothing, and would match nothing in a hole."""
    for pattern in patterns:
        if not may_match(pattern, places):
            raise unnamed(ValueError, nothing_matches(pattern, places))


def refuse_unused(pattern: Pattern, places: Sequence[PathLeaf]) -> None:
    """Raise `ValueError` unless a pattern that got no leaf may match one where there is a hole now."""
    refuse_unmatched([pattern], places)
    if not (asks_for_leaves(pattern) and any(is_hole(leaf) for _, leaf in places)):
        message = f"{shown(pattern)} matches only what the patterns before it have taken; put it before them."
        raise unnamed(ValueError, message)


def nothing_matches(pattern: Pattern, places: Sequence[PathLeaf]) -> str:
    """Return sentences that say so of a pattern, with what was meant, maybe, and the paths that are nearest to it."""
    close = next((other for other in _relatives(pattern, places) if may_match(other, places)), None)
    hint = "." if close is None else f"; did you mean {shown(close)}?"
    paths = [path for path, _ in places]
    text = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
    if len(paths) > _SHOWN and isinstance(text, str):
        nearest = difflib.get_close_matches(text, paths, n=_SHOWN, cutoff=0)
        return f"{shown(pattern)} matches nothing{hint} The nearest of {len(paths)} paths are {listed(nearest)}."
    return f"{shown(pattern)} matches nothing{hint} There are {listed(paths)}."


def listed(paths: Sequence[str]) -> str:
    """Return the first paths, and the number of all if there are more."""
    more = f", ... ({len(paths)} in all)" if len(paths) > _SHOWN else ""
    return ", ".join(map(repr, paths[:_SHOWN])) + more


def _relatives(pattern: Pattern, places: Sequence[PathLeaf]) -> Iterator[Pattern]:
    """Patterns that might have been meant."""
    if isinstance(pattern, re.Pattern):
        with contextlib.suppress(re.error):  # flags within the pattern must stay at its start
            yield re.compile(f".*(?:{pattern.pattern}).*", pattern.flags)
    if isinstance(pattern, str):
        glob = pattern.strip("/").replace(".", "/")
        parts = {part for path, _ in places for part in path.split("/")}
        corrected = "/".join(_closest(part, parts) for part in glob.split("/"))
        for one in (glob, corrected):
            yield from (one, f"**/{one}", f"{one}/**", f"**/{one}/**")


def _closest(part: str, parts: set[str]) -> str:
    """The part of a path that is most like a part of a glob, unless it is one itself or has wildcards."""
    if part in parts or re.search(r"[*?#\[]", part):
        return part
    return next(iter(difflib.get_close_matches(part, sorted(parts), n=1)), part)
