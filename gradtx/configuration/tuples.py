"""Arguments that take tuples: there, a config writes a list."""

import collections.abc
import typing
from typing import Any

from gradtx.require import alternatives


def takes_tuples(annotation: Any) -> bool:
    """Return whether an argument may be a tuple, by its annotation, but no other kind of list."""
    members = alternatives(annotation)
    origins = {typing.get_origin(member) for member in members}
    return tuple in origins and Any not in members and origins.isdisjoint(_LISTS)


_LISTS = {list, collections.abc.Sequence, collections.abc.Iterable}
