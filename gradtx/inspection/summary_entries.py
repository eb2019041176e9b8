"""The state, field by field, beside the parameters."""

import collections
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Sharding

from gradtx.inspection.summary_data import Entry, ShapeClass
from gradtx.inspection.walk import Node, Parameter, dtype_of
from gradtx.tree.holes import is_hole
from gradtx.tree.search import NamedTupleKey, is_leaf, is_namedtuple, walk


class Array(NamedTuple):
    """An array in a state, and its parameter if it has one."""

    owner: NamedTupleKey
    shape: tuple[int, ...]
    dtype: Any
    parameter: Parameter | None

    @property
    def like(self) -> ShapeClass:
        """What it looks like."""
        return _shape_class(self.shape, None if self.parameter is None else self.parameter.shape)

    @property
    def sharding(self) -> Any:
        """That of its parameter, which it takes over if it looks like it."""
        return self.parameter.sharding if self.parameter is not None and self.like == "parameter" else None


def bytes_of(shape: tuple[int, ...], dtype: Any, sharding: Sharding | None = None) -> int:
    """Return the bytes of an array; with a sharding, of the part that one device keeps."""
    return math.prod(shape if sharding is None else sharding.shard_shape(shape)) * dtype.itemsize


def entries(node: Node) -> list[Entry]:
    """Return the fields of the state of a transformation, without those of its parts."""
    kinds: dict[Any, list[Array]] = collections.defaultdict(list)
    for array in _arrays(node):
        kinds[array.owner, array.like, str(array.dtype)].append(array)
    return [_entry(node, owner, like, dtype, arrays) for (owner, like, dtype), arrays in kinds.items()]


def _entry(node: Node, owner: NamedTupleKey, like: ShapeClass, dtype: str, arrays: Sequence[Array]) -> Entry:
    shardings = {str(getattr(array.sharding, "spec", "")) for array in arrays}
    return Entry(
        label="/".join(node.labels),
        state=owner.tuple_name,
        field=owner.name,
        like=like,
        dtype=dtype,
        arrays=len(arrays),
        bytes=sum(bytes_of(array.shape, array.dtype) for array in arrays),
        bytes_per_device=sum(bytes_of(array.shape, array.dtype, array.sharding) for array in arrays),
        sharding=shardings.pop() if len(shardings) == 1 else "as the parameters",
    )


def _arrays(node: Node) -> Iterator[Array]:
    """The arrays of a state without those of its parts."""
    structure = jax.tree.structure(node.params)
    of_parts = [part.state for part in node.parts]

    def is_of_a_part(part: Any) -> bool:
        return any(part is state for state in of_parts)

    for steps, part in walk(node.state, lambda part: is_of_a_part(part) or _beside(structure, part) is not None):
        if is_hole(part) or is_of_a_part(part):
            continue
        keys = [step.key for step in steps if isinstance(step.key, NamedTupleKey)]
        owner = keys[-1] if keys else NamedTupleKey(node.name, "state")
        if (columns := _beside(structure, part)) is not None:
            for parameter, column in zip(node.parameters, columns, strict=True):
                yield from (Array(owner, jnp.shape(leaf), dtype_of(leaf), parameter) for leaf in jax.tree.leaves(column))
        elif is_leaf(part):
            yield Array(owner, jnp.shape(part), dtype_of(part), None)


def _beside(structure: Any, part: Any) -> list[Any] | None:
    """What a part of a state has for each parameter; None if it is not like the parameters."""
    root = structure.node_data()
    if root is not None and (type(part) is not root[0] or (isinstance(part, dict) and part.keys() != set(root[1]))):
        return None  # as below, which takes its time to say why
    try:
        columns = structure.flatten_up_to(part)
    except ValueError:
        return None
    return None if any(map(_is_state, jax.tree.leaves(columns, is_leaf=_is_state))) else columns


def _is_state(node: Any) -> bool:
    return is_namedtuple(node) and bool(node._fields) and not is_hole(node)


def _shape_class(shape: tuple[int, ...], of_parameter: tuple[int, ...] | None) -> ShapeClass:
    if shape == of_parameter:
        return "parameter"
    if shape in ((), (1,)):
        return "scalar"
    if of_parameter is None:
        return "other"
    if _lacks_axes(shape, of_parameter):
        return "factored"
    return "history" if shape[1:] == of_parameter else "other"


def _lacks_axes(shape: tuple[int, ...], of_parameter: tuple[int, ...]) -> bool:
    """Whether an axis of the parameter is missing, or some are there with a length of 1."""
    if len(shape) == len(of_parameter):
        return all(own in (1, other) for own, other in zip(shape, of_parameter, strict=True))
    return shape in [of_parameter[:axis] + of_parameter[axis + 1 :] for axis in range(len(of_parameter))]
