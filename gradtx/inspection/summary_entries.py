"""The state, field by field, beside the parameters."""

import collections
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from gradtx.inspection.summary_data import Entry, ShapeClass
from gradtx.inspection.walk import Node, Parameter, dtype_of
from gradtx.tree.holes import is_hole
from gradtx.tree.layout import rests_on_host
from gradtx.tree.quantized import is_quantized
from gradtx.tree.search import NamedTupleKey, is_leaf, is_namedtuple, walk


class Array(NamedTuple):
    """An array in a state, and its parameter if it has one.

    - `owner`: the field that it is in;
    - `kept`: what is there instead of it: codes and scales, or itself alone;
    - `bits`: of its codes, if it is quantized.
    """

    owner: NamedTupleKey
    kept: tuple[Any, ...]
    bits: int | None
    parameter: Parameter | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its own, of whose numbers two may share a byte."""
        shape = jnp.shape(self.kept[0])
        return shape if self.bits is None else (*shape[:-1], shape[-1] * 8 // self.bits)

    @property
    def dtype(self) -> str:
        """Its own, or of codes how many bits they have."""
        return str(dtype_of(self.kept[0])) if self.bits is None else f"{self.bits} bit"

    @property
    def bytes(self) -> int:
        """What is kept of it takes."""
        return sum(bytes_of(jnp.shape(each), dtype_of(each)) for each in self.kept)

    @property
    def bytes_on_host(self) -> int:
        """What of it rests in the memory of the host."""
        return sum(bytes_of(jnp.shape(each), dtype_of(each)) for each in self.kept if rests_on_host(each))

    @property
    def bytes_per_device(self) -> int:
        """What a device keeps of it."""
        return sum(bytes_of(jnp.shape(each), dtype_of(each), _sharding_of(each)) for each in self.kept)

    @property
    def like(self) -> ShapeClass:
        """What it looks like."""
        return _shape_class(self.shape, None if self.parameter is None else self.parameter.shape)

    @property
    def sharding(self) -> Any:
        """Its own, as its type says on a mesh."""
        return _sharding_of(self.kept[0])

    @property
    def spec(self) -> str:
        """How it is split; nothing if it is whole."""
        return _spec_of(self.sharding)

    @property
    def is_split_as_parameter(self) -> bool:
        """Whether it is split as its parameter is."""
        return self.parameter is not None and self.spec == _spec_of(self.parameter.sharding)


def bytes_of(shape: tuple[int, ...], dtype: Any, sharding: Sharding | None = None) -> int:
    """Return the bytes of an array; with a sharding, of the part that one device keeps."""
    return math.prod(shape if sharding is None else sharding.shard_shape(shape)) * dtype.itemsize


def _sharding_of(x: Any) -> Sharding | None:
    sharding = jax.typeof(x).sharding
    return None if sharding.mesh.empty else sharding


def _spec_of(sharding: Sharding | None) -> str:
    axes = list(sharding.spec) if isinstance(sharding, NamedSharding) else []
    while axes and axes[-1] is None:
        axes.pop()
    return str(PartitionSpec(*axes)) if axes else ""


def entries(node: Node) -> list[Entry]:
    """Return the fields of the state of a transformation, without those of its parts."""
    kinds: dict[Any, list[Array]] = collections.defaultdict(list)
    for array in arrays(node):
        kinds[array.owner, array.like, array.dtype].append(array)
    return [_entry(node, owner, like, dtype, arrays) for (owner, like, dtype), arrays in kinds.items()]


def _entry(node: Node, owner: NamedTupleKey, like: ShapeClass, dtype: str, arrays: Sequence[Array]) -> Entry:
    specs = {array.spec for array in arrays}
    follow = all(array.is_split_as_parameter for array in arrays)
    return Entry(
        label="/".join(node.labels),
        state=owner.tuple_name,
        field=owner.name,
        like=like,
        dtype=dtype,
        arrays=len(arrays),
        bytes=sum(array.bytes for array in arrays),
        bytes_on_host=sum(array.bytes_on_host for array in arrays),
        bytes_per_device=sum(array.bytes_per_device for array in arrays),
        sharding=specs.pop() if len(specs) == 1 else "as the parameters" if follow else "various",
    )


def arrays(node: Node) -> Iterator[Array]:
    """Yield the arrays of the state of a transformation, without those of its parts."""
    structure = jax.tree.structure(node.params)
    of_parts = [part.state for part in node.parts]

    def is_of_a_part(part: Any) -> bool:
        return any(part is state for state in of_parts)

    def is_seen_as_one(part: Any) -> bool:
        return is_quantized(part) or is_of_a_part(part) or _beside(structure, part) is not None

    for steps, part in walk(node.state, is_seen_as_one):
        if is_hole(part) or is_of_a_part(part):
            continue
        keys = [step.key for step in steps if isinstance(step.key, NamedTupleKey)]
        owner = keys[-1] if keys else NamedTupleKey(node.name, "state")
        if (columns := _beside(structure, part)) is not None:
            for parameter, column in zip(node.parameters, columns, strict=True):
                yield from (_array(node, owner, leaf, parameter) for leaf in jax.tree.leaves(column, is_leaf=is_quantized))
        elif is_leaf(part) or is_quantized(part):
            yield _array(node, owner, part, None)


def _array(node: Node, owner: NamedTupleKey, leaf: Any, parameter: Parameter | None) -> Array:
    if not is_quantized(leaf):
        return Array(owner, (leaf,), None, parameter)
    return Array(owner, tuple(leaf), None if node.format is None else node.format.code.bits, parameter)


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
    return is_namedtuple(node) and bool(node._fields) and not is_hole(node) and not is_quantized(node)


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
