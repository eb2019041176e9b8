"""Patterns: which leaves of a tree are meant, by their paths."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from gradtx.errors import unnamed
from gradtx.tree.holes import is_hole

Pattern: TypeAlias = str | re.Pattern[str] | Callable[[str, Any], bool] | tuple[Any, ...]
"""Which leaves are meant, by their paths, such as "layers/0/attention/bias". All of the path must match.

- A glob, such as "layers/#/**/bias". Within one part of the path `*` is any text, `?` any character, `[abc]` one of them,
  `[!abc]` any other, and `#` a whole number; `**` is any number of parts, none as well. `[*]` is a star, and so on.
- A regular expression, made by `re.compile`.
- A function `(path, leaf) -> bool`, where the leaf may be an array, a tracer or a `ShapeDtypeStruct`: of the parameters, or of
  updates of their shapes. It may look at its shape, but not at its values.
- A tuple of patterns: any of them.
"""

Match: TypeAlias = tuple[int | str, ...]
"""What a pattern has found in a path: the numbers that are a `#` in its glob, or the groups of its regular expression."""

_TOKEN = re.compile(r"\*\*|\[!?+\]?+[^\]]*\]|.", re.DOTALL)
_WILDCARDS = {"*": "[^/]*", "?": "[^/]", "#": "([0-9]+)"}


def check_pattern(pattern: Pattern) -> None:
    """Raise `TypeError` or `ValueError` unless `pattern` is a pattern."""
    if isinstance(pattern, tuple) and pattern:
        for alternative in pattern:
            check_pattern(alternative)
    elif isinstance(pattern, str):
        try:
            _regex(pattern)
        except ValueError as error:
            raise unnamed(ValueError, f"{pattern!r} is not a glob: {error}") from error
    elif not callable(pattern) and not (isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str)):
        raise unnamed(
            TypeError,
            f"{pattern!r} is not a pattern. Write a glob such as '**/bias', a regular expression such as "
            "re.compile('.*bias'), a function of a path and a leaf, or a tuple of these.",
        )


def finder(pattern: Pattern) -> Callable[[str, Any], Match | None]:
    """Return what finds something at a leaf, given its path and itself: None if `pattern` does not match.

    A function never matches a hole. For many leaves ask once: a glob is compiled here.
    """
    if isinstance(pattern, tuple):
        finders = [finder(alternative) for alternative in pattern]
        return lambda path, leaf: next((found for find in finders if (found := find(path, leaf)) is not None), None)
    if isinstance(pattern, str):
        glob = _regex(pattern).fullmatch
        return lambda path, leaf: _numbered(glob(f"/{path}" if path else ""))
    if isinstance(pattern, re.Pattern):
        return lambda path, leaf: _numbered(pattern.fullmatch(path))
    return lambda path, leaf: () if not is_hole(leaf) and _holds(pattern, path, leaf) else None


def first_matches(patterns: Sequence[Pattern], leaves: Sequence[tuple[str, Any]]) -> list[tuple[int, Match] | None]:
    """Return for each leaf the position of the first pattern that matches it and what it finds, or None if no pattern does."""
    finders = list(enumerate(map(finder, patterns)))

    def first(path: str, leaf: Any) -> tuple[int, Match] | None:
        for position, find in finders:
            if (found := find(path, leaf)) is not None:
                return position, found
        return None

    return [first(path, leaf) for path, leaf in leaves]


def asks_for_leaves(pattern: Pattern) -> bool:
    """Whether a pattern has a function in it, which can say nothing of holes."""
    if isinstance(pattern, tuple):
        return any(map(asks_for_leaves, pattern))
    return not isinstance(pattern, str | re.Pattern)


def may_match(pattern: Pattern, leaves: Sequence[tuple[str, Any]]) -> bool:
    """Whether a pattern matches one of these leaves, or may have matched one where there is a hole now."""
    find = finder(pattern)
    if any(find(path, leaf) is not None for path, leaf in leaves):
        return True
    return asks_for_leaves(pattern) and any(is_hole(leaf) for _, leaf in leaves)


def shown(pattern: Pattern) -> str:
    """Return a pattern as it is written, and a function by its name."""
    if isinstance(pattern, tuple):
        return f"({', '.join(map(shown, pattern))})"
    return getattr(pattern, "__name__", type(pattern).__name__) if callable(pattern) else repr(pattern)


def escaped(path: str) -> str:
    """Return a glob that matches a path and no other."""
    return re.sub(r"[*?#\[]", r"[\g<0>]", path)


@functools.lru_cache(maxsize=256)
def _regex(glob: str) -> re.Pattern[str]:
    """The regular expression of a glob, for paths that have a slash before each part."""
    try:
        return re.compile("".join(map(_translated_part, glob.split("/") if glob else [])))
    except re.error as error:
        raise ValueError(f"{error}.") from error


def _translated_part(part: str) -> str:
    if part == "**":
        return "(?:/[^/]*)*"
    return "/" + "".join(map(_translated, _TOKEN.findall(part)))


def _translated(token: str) -> str:
    if token == "**":
        raise ValueError("'**' is a part of its own, as in 'layers/**/bias'; within a part write '*'.")
    if len(token) > 1:
        members = token[1:-1].removeprefix("!")
        members = re.sub(r"[\\\[\]^&~|]", r"\\\g<0>", members)
        return f"[^/{members}]" if token[1] == "!" else f"[{members}]"
    return _WILDCARDS.get(token, re.escape(token))


def _numbered(match: re.Match[str] | None) -> Match | None:
    """The groups of a match, and numbers as such: layer 10 comes after layer 9."""
    return None if match is None else tuple(int(group) if group.isdecimal() else group for group in match.groups(""))


def _holds(predicate: Callable[[str, Any], bool], path: str, leaf: Any) -> bool:
    try:
        holds = predicate(path, leaf)
    except Exception as error:
        error.add_note(f"The pattern {shown(predicate)} was asked about {path!r}, a {type(leaf).__name__}.")
        raise
    if not isinstance(holds, bool | np.bool_):
        raise TypeError(
            f"{shown(predicate)} must return True or False for {path!r}, got {holds!r}. "
            "It decides what is computed, so it cannot depend on the values in an array."
        )
    return bool(holds)
