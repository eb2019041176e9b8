"""Gradients of single examples: what transforms them, and how many there are."""

import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from jax.tree_util import keystr, tree_leaves_with_path

from gradtx.core import GradientTransformationExtraArgs, OptState, Params, Updates
from gradtx.errors import unnamed

Axes: TypeAlias = int | Sequence[int]


class AggregatorUpdateFn(Protocol):
    """Make updates like the parameters of updates with further axes, those of the examples."""

    def __call__(
        self, per_elt_updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any
    ) -> tuple[Updates, OptState]: ...


class Aggregator(GradientTransformationExtraArgs):
    """A transformation that takes the gradients of single examples and returns one, of the shape of the parameters.

    The class only says so: chains and wrappers treat it as any other.
    """


def get_batch_size_from_per_elt_updates(per_elt_updates: Updates, per_elt_axis: Axes) -> int:
    """Return how many examples there are; of an empty tree, 0.

    Args:
      per_elt_updates: a tree of arrays that have the axes of the examples.
      per_elt_axis: the axis of the examples, or several.

    Raises:
      ValueError: a leaf has no such axis, or two leaves differ in the number of examples.
    """
    axes = as_axes(per_elt_axis)
    sizes = {}
    for path, leaf in tree_leaves_with_path(per_elt_updates):
        if not all(-leaf.ndim <= axis < leaf.ndim for axis in axes):
            raise ValueError(f"updates{keystr(path)} has shape {leaf.shape}: it has no axes {axes} for the examples.")
        sizes[keystr(path)] = math.prod(leaf.shape[axis] for axis in axes)
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{size} in updates{path}" for path, size in list(sizes.items())[:5])
        raise ValueError(f"all updates must be of as many examples along the axes {axes}, got {counts}.")
    return next(iter(sizes.values()), 0)


def check_not_empty(per_elt_updates: Updates, per_elt_axis: Axes) -> int:
    """Return the number of examples.

    Raises:
      ValueError: there is none, in a tree that is not empty.
    """
    size = get_batch_size_from_per_elt_updates(per_elt_updates, per_elt_axis)
    if size == 0 and tree_leaves_with_path(per_elt_updates):
        raise unnamed(ValueError, f"there is no average of no examples; the axes {as_axes(per_elt_axis)} have size 0.")
    return size


def as_axes(axis: Axes) -> tuple[int, ...]:
    """Return one axis or several as a tuple."""
    return (axis,) if isinstance(axis, int) else tuple(axis)
