"""Extra arguments of `update`: which ones a function reads, and which keywords are misspellings of one of them."""

from collections.abc import Callable, Iterable
from typing import Any

from gradtx.core.protocol import PROTOCOL_EXTRA_ARGS
from gradtx.errors import unnamed
from gradtx.signatures import arguments_of

ANYTHING = "**"
"""Stands among the names for a function that takes any keyword (`**extra`)."""

# Shorter words are too close to each other: one letter more or less makes `grad` a grade, a grid or a rad.
_LONG = 5


def keywords(function: Callable[..., Any], after: int) -> frozenset[str]:
    """Return the names of the arguments of `function` that follow its first `after`, and `ANYTHING` if it takes any."""
    arguments = arguments_of(function)
    return arguments.keyword_only.union(arguments.positional[after:], [ANYTHING] if arguments.any_keyword else ())


def only(names: frozenset[str], extra_args: dict[str, Any]) -> dict[str, Any]:
    """Return the extra arguments of these names: all if one is `ANYTHING`."""
    return extra_args if ANYTHING in names else {name: arg for name, arg in extra_args.items() if name in names}


def refuse_misspelt(given: Iterable[str], known: frozenset[str]) -> None:
    """Raise `TypeError` if a keyword is a misspelling of a known one or of one of the protocol.

    Any other keyword that nothing reads is ignored, as in Optax: training loops pass the same arguments to every optimizer.
    """
    known = known | PROTOCOL_EXTRA_ARGS | {"params"}
    for word in sorted(set(given) - known):
        if meant := next((name for name in sorted(known) if is_misspelling(word, name)), None):
            raise unnamed(TypeError, f"nothing here reads the extra argument {word!r}; did you mean {meant!r}?")


def is_misspelling(word: str, name: str) -> bool:
    """Return whether `word` is most likely meant to be `name`: one slip away, and not a word of its own.

    The slips are Damerau's four, which make up 80 % of misspellings: two neighbours swapped, a letter missing, too many, or
    another (Damerau, "A technique for computer detection and correction of spelling errors", 1964). Upper case is one, too.
    A program whose own keyword looks like one is worse off than one whose typo stays silent, so that there are exceptions:

    - the plural and a number make a name of its own: `values`, `grads`, `keys`, `value2`;
    - so does another first letter, which is seldom mistyped: `pvalue`;
    - of short names only a swap of neighbours counts: `grda`, but `grid` and `grade` mean themselves.
    """
    word, name = word.lower(), name.lower()
    if word == name or (len(name) > 2 and _is_swapped(word, name)):
        return True
    if len(name) < _LONG or word[:1] != name[:1] or _stem(word) == _stem(name):
        return False
    same = next((i for i, pair in enumerate(zip(word, name, strict=False)) if pair[0] != pair[1]), min(len(word), len(name)))
    return any(word[same + more :] == name[same + less :] for more, less in [(1, 0), (0, 1), (1, 1)])


def _is_swapped(word: str, name: str) -> bool:
    return any(word == name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(len(name) - 1))


def _stem(word: str) -> str:
    return word.rstrip("s_0123456789")
