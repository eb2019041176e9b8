"""The parameters, by what they get."""

import collections
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gradtx.composition.parts import holds_hyperparameters
from gradtx.core import chain, named_chain
from gradtx.diagnostics.arrays import Parameter
from gradtx.diagnostics.data import ParameterGroup
from gradtx.diagnostics.walk import Node
from gradtx.require import is_zero
from gradtx.tree.mask import evaluate_mask, mask_out

HELD = "in the state"
"""The weight decay of what keeps its hyperparameters in the state."""
UNKNOWN = "unknown"
"""The weight decay of what is not made by a factory of gradtx."""


class Share(NamedTuple):
    """What some parameters get: a label, a transformation or a weight decay."""

    kind: str
    value: Any
    paths: Sequence[str]


def groups(node: Node, parameters: Sequence[Parameter]) -> tuple[ParameterGroup, ...]:
    """Return the parameters in groups, those together that have all in common."""
    traits = {parameter.path: {"label": [], "transformation": [], "weight_decay": []} for parameter in parameters}
    for share in _shares(node):
        for path in share.paths:
            traits[path][share.kind].append(share.value)
    members: dict[Any, list[Parameter]] = collections.defaultdict(list)
    for parameter in parameters:
        members[repr(traits[parameter.path])].append(parameter)
    return tuple(_group(traits[same[0].path], same) for same in members.values())


def _group(traits: dict[str, list[Any]], parameters: Sequence[Parameter]) -> ParameterGroup:
    return ParameterGroup(
        label="/".join(traits["label"]),
        transformations=tuple(traits["transformation"]),
        weight_decay=tuple(traits["weight_decay"]),
        paths=tuple(parameter.path for parameter in parameters),
        parameters=sum(parameter.size for parameter in parameters),
        bytes=sum(parameter.bytes for parameter in parameters),
    )


def _shares(node: Node, inside_of_named: bool = False) -> Iterator[Share]:
    """Yield what the parameters get in a composition.

    Args:
      node: a transformation.
      inside_of_named: whether it is a part of one whose name says enough, as scale_by_adam is of adam.
    """
    if not inside_of_named and not is_wrapper(node):
        inside_of_named = True
        yield Share("transformation", node.name, node.paths)
    if node.recipe is None:
        yield Share("weight_decay", UNKNOWN, node.paths)
    if (share := decay(node)) is not None:
        yield share
    for part in node.parts:
        if part.label is not None and len(part.paths) < len(node.paths):
            yield Share("label", part.label, part.paths)
        yield from _shares(part, inside_of_named)


def decay(node: Node) -> Share | None:
    """Return the weight decay of a transformation without parts, and the parameters that get it; None if it has none."""
    weight_decay = node.settings.get("weight_decay", 0)
    if node.recipe is None or node.parts or is_zero(weight_decay):
        return None
    arguments = node.recipe.arguments
    mask = arguments.get("mask", arguments.get("weight_decay_mask"))
    seen = node.params if mask is None else mask_out(evaluate_mask(mask, node.params), node.params)
    return Share("weight_decay", HELD if node.held else weight_decay, node._replace(params=seen).paths)


def is_wrapper(node: Node) -> bool:
    """Return whether a transformation is named by what is inside, as chains and wrappers are."""
    if node.recipe is None:
        return False
    if node.recipe.factory in (chain, named_chain) or holds_hyperparameters(node.tx):
        return True
    wraps = bool(node.parts) and node.recipe.factory.__module__.startswith("gradtx.wrappers")
    return wraps and not node.name.startswith("scale_by")
