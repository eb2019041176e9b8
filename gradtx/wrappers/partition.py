"""Different transformations for different parameters."""

import collections
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
from jax.tree_util import keystr

from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    Updates,
    factory,
    forwards_to,
    with_extra_args_support,
)
from gradtx.tree.mask import MaskedState, is_function, mask_out, through_mask

Labels: TypeAlias = Any | Callable[[Any], Any]
"""A tree of labels, which may stop above the leaves it speaks for, or a function that makes one of a tree like params."""


class PartitionState(NamedTuple):
    """The state of each transformation, by its label."""

    inner_states: dict[Hashable, MaskedState]


MultiTransformState = PartitionState


@factory
def partition(
    transforms: Mapping[Hashable, GradientTransformation],
    param_labels: Labels,
    *,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformationExtraArgs:
    """Apply to each parameter the transformation that its label names.

        partition({"matrix": muon(0.02), "rest": adamw(1e-3)}, {"dense": {"kernel": "matrix", "bias": "rest"}})

    Each transformation sees a `MaskedNode` in the place of what is not its own, so that a global norm in one of them is that
    of its own parameters.

    Args:
      transforms: transformations by label: words, numbers, anything that can be hashed. A label that no parameter has is no
        error.
      param_labels: a tree of labels with the structure of the params, or the upper part of such a tree: a label above the
        leaves speaks for all below. Or a function that returns one; it is called with the params and, in `update`, with the
        updates, so it may look at structure, names and shapes, but not at values.
      mask_compatible_extra_args: whether extra arguments that have the structure of the updates are split, too.

    Raises:
      ValueError: a parameter has a label that names no transformation, or the labels do not match the tree.
    """
    inners = {label: with_extra_args_support(tx) for label, tx in transforms.items()}
    new_states = dict if _can_be_sorted(inners) else collections.OrderedDict  # JAX sorts the keys of a dict

    def is_label(node: Any) -> bool:
        try:
            return node in inners
        except TypeError:  # it cannot be hashed, as no dict can be
            return False

    if not is_function(param_labels):
        _check_labels(param_labels, is_label, inners)

    def labelled(own: Hashable) -> Callable[[Any], Any]:
        """The mask of what has this label."""

        def where(tree: Any) -> Any:
            labels = param_labels(tree) if is_function(param_labels) else param_labels
            _check_labels(labels, is_label, inners)
            return jax.tree.map(lambda label: label == own, labels, is_leaf=is_label)

        return where

    def seen(params: Params) -> list[Params]:
        return [mask_out(labelled(label)(params), params) for label in inners]

    members = {
        label: through_mask(
            "partition", labelled(label), *inner, mask_extra_args=mask_compatible_extra_args, word="param_labels"
        )
        for label, inner in inners.items()
    }

    def init(params: Params) -> PartitionState:
        return PartitionState(new_states((label, init_own(params)) for label, (init_own, _) in members.items()))

    def states(state: PartitionState) -> dict[Hashable, Any]:
        return {label: state.inner_states[label].inner_state for label in inners}

    @forwards_to(*inners.values(), states=states, seen=seen)
    def update(updates: Updates, state: PartitionState, params: Params | None = None, **extra_args: Any):
        inner_states = new_states()
        for label, (_, update_own) in members.items():  # each lets pass what is not its own
            updates, inner_states[label] = update_own(updates, state.inner_states[label], params, **extra_args)
        return updates, PartitionState(inner_states)

    return GradientTransformationExtraArgs(init, update)


@factory
def multi_transform(
    transforms: Mapping[Hashable, GradientTransformation],
    param_labels: Labels,
    *,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformationExtraArgs:
    """Apply to each parameter the transformation that its label names; `partition` by its older name."""
    return partition(transforms, param_labels, mask_compatible_extra_args=mask_compatible_extra_args)


def _can_be_sorted(labels: Iterable[Any]) -> bool:
    try:
        sorted(labels)
    except TypeError:
        return False
    return True


def _check_labels(labels: Any, is_label: Callable[[Any], bool], known: Iterable[Hashable]) -> None:
    for path, label in jax.tree_util.tree_leaves_with_path(labels, is_leaf=is_label):
        if not is_label(label):
            names = ", ".join(map(repr, known)) or "no transformation"
            raise ValueError(
                f"partition: param_labels{keystr(path)} is {label!r}, which names no transformation; there are {names}."
            )
