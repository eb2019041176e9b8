"""Say which pattern matches nothing, and what was meant, maybe."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gradtx.tree.holes import is_hole
from gradtx.tree.patterns import Pattern, is_seen, shown

_SHOWN = 8  # paths in an error

Leaves = Sequence[tuple[str, Any]]


def is_whole(leaves: Leaves) -> bool:
    """Whether a tree has leaves, and no mask has left holes among them: only then is it wrong to match nothing."""
    return bool(leaves) and not any(is_hole(leaf) and leaf is not None for _, leaf in leaves)


def nothing_matches(pattern: Pattern, leaves: Leaves) -> str:
    """Return sentences that say so of a pattern, with what was meant, maybe, and the first paths that there are."""
    close = next((other for other in _relatives(pattern, leaves) if is_seen(other, leaves)), None)
    hint = "." if close is None else f"; did you mean {shown(close)}?"
    return f"{shown(pattern)} matches nothing{hint} There are {listed([path for path, _ in leaves])}."


def listed(paths: Sequence[str]) -> str:
    """Return the first paths, and the number of all if there are more."""
    more = f", ... ({len(paths)} in all)" if len(paths) > _SHOWN else ""
    return ", ".join(map(repr, paths[:_SHOWN])) + more


def _relatives(pattern: Pattern, leaves: Leaves) -> Iterator[Pattern]:
    """Patterns that might have been meant."""
    if isinstance(pattern, re.Pattern):
        yield re.compile(f".*(?:{pattern.pattern}).*", pattern.flags)  # a part of the path is not enough
    if isinstance(pattern, str):
        glob = pattern.strip("/").replace(".", "/")
        parts = {part for path, _ in leaves for part in path.split("/")}
        corrected = "/".join(_closest(part, parts) for part in glob.split("/"))
        for one in (glob, corrected):
            yield from (one, f"**/{one}", f"{one}/**", f"**/{one}/**")


def _closest(part: str, parts: set[str]) -> str:
    """The part of a path that is most like a part of a glob, unless it is one itself or has wildcards."""
    if part in parts or re.search(r"[*?#\[]", part):
        return part
    return next(iter(difflib.get_close_matches(part, sorted(parts), n=1)), part)
