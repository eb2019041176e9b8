"""Different transformations for different parameters."""

import collections
import types
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
from jax.tree_util import keystr

from gradtx.core import (
    GradientTransformationExtraArgs,
    Params,
    Part,
    Transformation,
    Updates,
    factory,
    forwards_to,
    supported,
    with_extra_args_support,
)
from gradtx.errors import unnamed
from gradtx.tree.masks import MaskedState, evaluate_mask, fill_masked, is_function, mask_out, mask_out_like
from gradtx.tree.mismatch import MADE_FOR_OTHERS
from gradtx.tree.paths import without_boxes

Labels: TypeAlias = Any | Callable[[Any], Any]
"""A tree of labels, which may stop above the leaves it speaks for, or a function that makes one of a tree like params."""


class PartitionState(NamedTuple):
    """The state of each transformation, by its label."""

    inner_states: dict[Hashable, MaskedState]


MultiTransformState = PartitionState


@factory
def partition(
    transforms: Mapping[Hashable, Transformation],
    param_labels: Labels,
    *,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformationExtraArgs:
    """Apply to each parameter the transformation that its label names.

        partition({"matrix": muon(0.02), "rest": adamw(1e-3)}, {"dense": {"kernel": "matrix", "bias": "rest"}})

    Each transformation sees a `MaskedNode` instead of what is not its own, so that a global norm in one of them is that
    of its own parameters.

    Args:
      transforms: transformations by label: words, numbers, anything that can be hashed. A label that no parameter has is
        not an error.
      param_labels: a tree of labels with the structure of the params, or the upper part of such a tree: a label above the
        leaves speaks for all below. Or a function that returns one; it is called with the params and, in `update`, with the
        updates, so it may look at structure, names and shapes, but not at values.
      mask_compatible_extra_args: whether extra arguments that have the structure of the updates are split, too.

    Raises:
      ValueError: a parameter has a label that names no transformation, or the labels do not match the tree.
    """
    return partitioned(transforms, param_labels, mask_compatible_extra_args)


@factory
def multi_transform(
    transforms: Mapping[Hashable, Transformation],
    param_labels: Labels,
    *,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformationExtraArgs:
    """Apply to each parameter the transformation that its label names; `partition` by its older name."""
    return partitioned(transforms, param_labels, mask_compatible_extra_args)


def partitioned(
    transforms: Mapping[Hashable, Transformation],
    param_labels: Labels,
    mask_extra_args: bool = False,
    dispensable: Mapping[Hashable, Callable[[Params], bool]] = types.MappingProxyType({}),
) -> GradientTransformationExtraArgs:
    """Make the pair of functions of `partition`.

    `dispensable` says of a label whether it goes without a state if none of given parameters has it.
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

    def masks(tree: Any) -> dict[Hashable, Any]:
        """For each label, a tree of bools that says what has it."""
        labels = param_labels(tree) if is_function(param_labels) else param_labels
        _check_labels(labels, is_label, inners)
        everything = jax.tree.map(lambda label: True, labels, is_leaf=is_label)
        fitting = evaluate_mask(everything, tree, "param_labels")  # raises unless they match
        labels = labels if jax.tree.structure(fitting) == jax.tree.structure(everything) else without_boxes(labels)
        return {own: jax.tree.map(lambda label, own=own: label == own, labels, is_leaf=is_label) for own in inners}

    def shares(params: Params) -> dict[Hashable, Any]:
        """What each label sees of the parameters."""
        where = masks(params)
        unused = [label for label, spare in dispensable.items() if not any(jax.tree.leaves(where[label])) and spare(params)]
        return {label: mask_out(own, params) for label, own in where.items() if label not in unused}

    def visible_params(params: Params) -> list[Params]:
        return list(shares(params).values())

    def init(params: Params) -> PartitionState:
        return PartitionState(
            new_states((label, MaskedState(inners[label].init(own))) for label, own in shares(params).items())
        )

    def parts(state: PartitionState) -> list[Part]:
        kept = [label for label in inners if label not in dispensable or label in state.inner_states]
        return [Part(label, supported(inners[label]), state.inner_states[label].inner_state) for label in kept]

    @forwards_to(*inners.values(), parts=parts, seen=visible_params)
    def update(updates: Updates, state: PartitionState, params: Params | None = None, **extra_args: Any):
        params_masks = None if params is None else masks(params)
        new_updates, inner_states = updates, new_states()
        for label, own in masks(updates).items():
            if label in dispensable and label not in state.inner_states:
                if any(jax.tree.leaves(own)):
                    raise unnamed(ValueError, f"the state has nothing for {label!r}. {MADE_FOR_OTHERS}")
                continue
            own_params = None if params_masks is None else mask_out(params_masks[label], params)
            own_extra_args = mask_out_like(own, updates, extra_args) if mask_extra_args else extra_args
            own_updates, own_state = inners[label].update(
                mask_out(own, updates), state.inner_states[label].inner_state, own_params, **own_extra_args
            )
            new_updates = fill_masked(own, own_updates, new_updates)
            inner_states[label] = MaskedState(own_state)
        return new_updates, PartitionState(inner_states)

    return GradientTransformationExtraArgs(init, update)


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
            raise unnamed(
                ValueError,
                f"param_labels{keystr(path)} is {label!r}, which names none of the transformations; there are {names}.",
            )
