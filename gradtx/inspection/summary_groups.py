"""The parameters, by what they get."""

import collections
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gradtx.inspection.summary_data import ParameterGroup
from gradtx.inspection.summary_entries import bytes_of
from gradtx.inspection.walk import Node, Parameter, visible
from gradtx.require import is_zero
from gradtx.tree.masks import evaluate_mask, mask_out

STORED = "in the state"
"""The weight decay of what keeps its hyperparameters in the state."""
UNKNOWN = "unknown"
"""The weight decay of what is not made by a factory of gradtx."""


class Share(NamedTuple):
    """What some parameters get: a label, a transformation or a weight decay."""

    kind: str
    value: Any
    paths: Sequence[str]


def groups(node: Node) -> tuple[ParameterGroup, ...]:
    """Return the parameters in groups, those together that have all in common."""
    traits = {path: {"label": [], "transformation": [], "weight_decay": []} for path in node.paths}
    for share in _shares(node):
        for path in share.paths:
            traits[path][share.kind].append(share.value)
    members: dict[Any, list[Parameter]] = collections.defaultdict(list)
    for parameter in node.parameters:
        members[repr(traits[parameter.path])].append(parameter)
    return tuple(_group(traits[same[0].path], same) for same in members.values())


def named(node: Node) -> Iterator[Node]:
    """Yield what the parameters pass through: the outermost parts that are not wrappers."""
    if node.told.wraps:
        for part in node.parts:
            yield from named(part)
    else:
        yield node


def _group(traits: dict[str, list[Any]], parameters: Sequence[Parameter]) -> ParameterGroup:
    return ParameterGroup(
        label="/".join(traits["label"]),
        transformations=tuple(traits["transformation"]),
        weight_decay=tuple(traits["weight_decay"]),
        paths=tuple(parameter.path for parameter in parameters),
        parameters=sum(parameter.size for parameter in parameters),
        bytes=sum(bytes_of(parameter.shape, parameter.dtype) for parameter in parameters),
    )


def _shares(node: Node, inside_of_named: bool = False) -> Iterator[Share]:
    """Yield what the parameters get in a composition.

    Args:
      node: a transformation.
      inside_of_named: whether it is a part of one whose name says enough, as scale_by_adam is of adam.
    """
    if not inside_of_named and not node.told.wraps:
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
    weight_decay = node.hyperparameters.get("weight_decay", 0)
    if node.recipe is None or node.parts or is_zero(weight_decay):
        return None
    arguments = node.recipe.arguments
    mask = arguments.get("mask", arguments.get("weight_decay_mask"))
    decayed = node.parameters
    if mask is not None:
        decayed = visible(mask_out(evaluate_mask(mask, node.params), node.params), node.params, node.parameters)
    return Share("weight_decay", STORED if node.is_stored else weight_decay, [parameter.path for parameter in decayed])
