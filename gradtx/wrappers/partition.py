"""Different transformations for different parameters."""

import collections
import types
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
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
    steps_of_groups,
    supported,
    with_extra_args_support,
)
from gradtx.errors import unnamed
from gradtx.tree.holes import MaskedNode
from gradtx.tree.masks import MaskedState, evaluate_mask, is_function, mask_out_like
from gradtx.tree.mismatch import MADE_FOR_OTHERS
from gradtx.tree.paths import without_boxes
from gradtx.tree.scopes import as_whole

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

    def places(tree: Any) -> _Places:
        labels = param_labels(as_whole(tree)) if is_function(param_labels) else param_labels
        _check_labels(labels, is_label, inners)
        everything = jax.tree.map(lambda label: True, labels, is_leaf=is_label)
        fitting = evaluate_mask(everything, tree, "param_labels")  # raises unless they match
        labels = labels if jax.tree.structure(fitting) == jax.tree.structure(everything) else without_boxes(labels)
        found, structure = jax.tree.flatten(labels, is_leaf=is_label)
        positions: dict[Hashable, list[int]] = {label: [] for label in inners}
        for position, label in enumerate(found):
            positions[label].append(position)
        return _Places(structure, positions)

    def shares(params: Params) -> dict[Hashable, Any]:
        """What each label sees of the parameters."""
        where = places(params)
        unused = [label for label, spare in dispensable.items() if not where.positions[label] and spare(params)]
        return {label: own for label, own in where.shares(params).items() if label not in unused}

    def visible_params(params: Params) -> list[Params]:
        return list(shares(params).values())

    def init(params: Params) -> PartitionState:
        return PartitionState(
            new_states((label, MaskedState(inners[label].init(own))) for label, own in shares(params).items())
        )

    def parts(state: PartitionState) -> list[Part]:
        kept = [label for label in inners if label not in dispensable or label in state.inner_states]
        return [Part(label, supported(inners[label]), state.inner_states[label].inner_state) for label in kept]

    @forwards_to(*inners.values(), parts=parts, seen=visible_params, steps=lambda state: steps_of_groups(parts(state)))
    def update(updates: Updates, state: PartitionState, params: Params | None = None, **extra_args: Any):
        where = places(updates)
        own_params = dict.fromkeys(inners) if params is None else places(params).shares(params)
        own_extra_args = dict.fromkeys(inners, extra_args)
        if mask_extra_args:
            own_extra_args = {label: mask_out_like(where.mask(label), updates, extra_args) for label in inners}
        new_updates, inner_states = {}, new_states()
        for label, own in where.shares(updates).items():
            if label in dispensable and label not in state.inner_states:
                if where.positions[label]:
                    raise unnamed(ValueError, f"the state has nothing for {label!r}. {MADE_FOR_OTHERS}")
                continue
            new_updates[label], own_state = inners[label].update(
                own, state.inner_states[label].inner_state, own_params[label], **own_extra_args[label]
            )
            inner_states[label] = MaskedState(own_state)
        return where.joined(new_updates, updates), PartitionState(inner_states)

    return GradientTransformationExtraArgs(init, update)


class _Places(NamedTuple):
    """Where each label is in a tree: the structure above what has labels, and its positions there.

    Many labels on many leaves are as many places as there are pairs: none of them is visited by itself.
    """

    structure: Any
    positions: dict[Hashable, list[int]]

    def shares(self, tree: Any) -> dict[Hashable, Any]:
        """For each label the tree with holes instead of what is not its own."""
        nodes = self.structure.flatten_up_to(tree)
        return {label: self._with(label, nodes, MaskedNode()) for label in self.positions}

    def mask(self, label: Hashable) -> Any:
        """A tree of bools that says what has a label."""
        return self._with(label, [True] * self.structure.num_leaves, False)

    def joined(self, shares: Mapping[Hashable, Any], tree: Any) -> Any:
        """The tree with what each label has in its share: the inverse of `shares`."""
        nodes = self.structure.flatten_up_to(tree)
        for label, share in shares.items():
            own = self.structure.flatten_up_to(share)
            for position in self.positions[label]:
                nodes[position] = own[position]
        return self.structure.unflatten(nodes)

    def _with(self, label: Hashable, own: Sequence[Any], other: Any) -> Any:
        nodes = [other] * len(own)
        for position in self.positions[label]:
            nodes[position] = own[position]
        return self.structure.unflatten(nodes)


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
