"""Holes: what stands in a tree for a leaf that is not there."""

from typing import Any, NamedTuple


class MaskedNode(NamedTuple):
    """A hole in a tree of updates, params or state: it stands for a leaf that a mask leaves out."""


def is_hole(node: Any) -> bool:
    """Whether `node` is `None` or a masked node, of gradtx or of another library."""
    return node is None or (isinstance(node, tuple) and type(node).__name__ == "MaskedNode")
