"""Divide the leaves of a tree further among the devices of a mesh: how each is split, and which dimension is, once more."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jax.tree_util import keystr, tree_leaves_with_path

from gradtx.errors import unnamed
from gradtx.tree.holes import is_hole, map_leaves
from gradtx.tree.layout import axes_in, is_explicit, laid_out, mesh_of
from gradtx.tree.masks import is_function
from gradtx.tree.paths import leaves_with_paths

Split: TypeAlias = Callable[[tuple[int, ...], PartitionSpec, Mapping[str, int]], int | None]
"""A rule that says which dimension of a leaf is divided: `(shape, spec, axes)` to a dimension, or None to leave it whole.

- `shape`: that of the part which a device has;
- `spec`: how the leaf is split already, with an entry for each dimension;
- `axes`: those of the mesh along which to divide it, with their sizes.
"""

Layout: TypeAlias = NamedSharding | PartitionSpec | Callable[[str, Any], NamedSharding | PartitionSpec] | Any
"""How parameters are laid out: alike, by a function of path and leaf, or by a tree of any kind."""

_HOW_TO_SAY = "layout=jax.tree.map(lambda p: p.sharding, params)"


@dataclasses.dataclass(frozen=True)
class Division:
    """How a leaf of a shape is split, and how it is when it is divided. To JAX it is a leaf."""

    shape: tuple[int, ...]
    whole: NamedSharding
    divided: NamedSharding


def divide(x: Any, division: Division) -> Any:
    """Return an array of the shape of the leaf divided, and anything else as it is."""
    return laid_out(x, division.divided) if _is_like(x, division) else x


def divide_param(p: Any, division: Division) -> Any:
    """Return the leaf itself divided; what it is made of stays as the leaf is, which in a loop the compiler might change."""
    return laid_out(_fixed(p, division.whole), division.divided) if _is_like(p, division) else p


def restore(x: Any, division: Division) -> Any:
    """Return an array of the shape of the leaf as the leaf is split, and anything else as it is."""
    return laid_out(_fixed(x, division.divided), division.whole) if _is_like(x, division) else x


def _is_like(x: Any, division: Division) -> bool:
    return getattr(x, "shape", None) == division.shape


def of_whole(function: Callable[..., Any], divisions: Any) -> Callable[..., Any]:
    """Return a function of the parameters as one that takes them divided, too."""
    structure = jax.tree.structure(divisions)

    @functools.wraps(function)
    def of_divided(params: Any, *args: Any, **kwargs: Any) -> Any:
        whole = map_leaves(restore, params, divisions) if jax.tree.structure(params) == structure else params
        return function(whole, *args, **kwargs)

    return of_divided


def _fixed(x: Any, sharding: NamedSharding) -> Any:
    """An array laid out for good. What is said of it next, compilers take to be said of all its uses, be it in a state."""
    x = laid_out(x, sharding)
    return lax.optimization_barrier(x) if isinstance(x, Tracer) and not is_explicit(sharding.mesh) else x


def largest_dimension(shape: tuple[int, ...], spec: PartitionSpec, axes: Mapping[str, int]) -> int | None:
    """Return the largest dimension that the devices along the axes divide; the last one only if there is no other.

    Parts of the last one do not lie together: compilers transpose arrays to gather them, and `quantized` needs whole blocks.
    """
    devices = math.prod(axes.values())
    fitting = [dimension for dimension, size in enumerate(shape) if size and size % devices == 0]
    return max(fitting, key=lambda dimension: (dimension < len(shape) - 1, shape[dimension]), default=None)


def check_layout(layout: Layout | None) -> None:
    """Raise `TypeError` unless a layout is a function or a tree of shardings and specs."""
    if layout is not None and not is_function(layout):
        for path, leaf in tree_leaves_with_path(layout):
            _check(f"layout{keystr(path)}", leaf)


def divisions(params: Any, layout: Layout | None, over: Sequence[str], split: Split) -> Any:
    """Return the parameters with the `Division` of each instead of it.

    Args:
      params: arrays, traced or not.
      layout: a tree of `NamedSharding` or `PartitionSpec` that may stop above the leaves it speaks for, a function of path and
        leaf, or None: then it is asked of the types of an explicit mesh, else of the arrays.
      over: axes of the mesh along which to divide.
      split: says which dimension.
    """
    rows = leaves_with_paths(params)
    if not rows:  # as for `map_params`
        return params
    said = [None] * len(rows) if layout is None else _said(layout, params, rows)
    mesh = _mesh(params, said, over)

    def division(path: str, p: Any, said: NamedSharding | PartitionSpec | None) -> Division:
        spec = _spec_of(p, mesh, over) if said is None else said.spec if isinstance(said, NamedSharding) else said
        whole = NamedSharding(mesh, spec)
        return Division(jnp.shape(p), whole, _divided(path, jnp.shape(p), whole, over, split))

    found = iter([division(path, p, its) for (path, p), its in zip(rows, said, strict=True)])
    return map_leaves(lambda _: next(found), params)


def is_whole(x: Any, over: Sequence[str]) -> bool:
    """Return whether it is known that several devices along some axes of a mesh have all of a `Division`, or of an array."""
    if isinstance(x, Division):
        sharding = x.divided
    elif isinstance(x, Tracer):
        sharding = jax.typeof(x).sharding
        if not is_explicit(sharding.mesh):
            return False
    else:
        sharding = getattr(x, "sharding", None)
    if not isinstance(sharding, NamedSharding) or not any(sharding.mesh.shape.get(axis, 1) > 1 for axis in over):
        return False
    return not {axis for entry in sharding.spec for axis in axes_in(entry)} & set(over)


def _divided(path: str, shape: tuple[int, ...], whole: NamedSharding, over: Sequence[str], split: Split) -> NamedSharding:
    """The sharding of a leaf of which one dimension is split along those axes of `over` along which it was not."""
    spec = [*whole.spec, *[None] * (len(shape) - len(whole.spec))]
    used = {axis for entry in spec for axis in axes_in(entry)}
    axes = {axis: size for axis in over if axis not in used and (size := whole.mesh.shape[axis]) > 1}
    if not axes:
        return whole
    part, devices = whole.shard_shape(shape), math.prod(axes.values())
    dimension = split(part, PartitionSpec(*spec), axes)
    if dimension is None:
        return whole
    if dimension not in range(len(part)) or part[dimension] % devices:
        message = (
            f"split says dimension {dimension!r} of {path!r}, which has {part} on a device: {devices} devices cannot divide it."
        )
        raise unnamed(ValueError, message)
    spec[dimension] = (*axes_in(spec[dimension]), *axes)
    while spec[-1] is None:  # as compilers write it: JAX takes a spec with more to say the same for another one
        spec.pop()
    return NamedSharding(whole.mesh, PartitionSpec(*spec))


# --- what is known ----------------------------------------------------------------------------------------------------


def _mesh(params: Any, said: Sequence[Any], over: Sequence[str]) -> Mesh | AbstractMesh:
    """The mesh of the parameters, that which is set, or that of a layout; along its axes `over` leaves can be divided."""
    mesh = mesh_of(params) or next((each.mesh for each in said if isinstance(each, NamedSharding)), None)
    if mesh is None:
        message = "no mesh is known. Put the parameters on one: jax.device_put(params, NamedSharding(mesh, PartitionSpec()))."
        raise unnamed(ValueError, message)
    if missing := [axis for axis in over if axis not in mesh.axis_names]:
        raise unnamed(ValueError, f"over says {missing[0]!r}, but the axes of the mesh are {', '.join(mesh.axis_names)}.")
    types = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    if manual := [axis for axis in over if types[axis] is AxisType.Manual]:
        message = f"within shard_map along {manual[0]!r} a device has parts of its own: call init and update outside of it."
        raise unnamed(ValueError, message)
    return mesh


def _spec_of(p: Any, mesh: Mesh | AbstractMesh, over: Sequence[str]) -> PartitionSpec:
    """How a parameter is split. Where the compiler alone knows it, and `over` are all axes, it is taken to be whole."""
    if not isinstance(p, Tracer):
        sharding = getattr(p, "sharding", None)
        return sharding.spec if isinstance(sharding, NamedSharding) else PartitionSpec()
    if is_explicit(mesh):
        return PartitionSpec(*jax.typeof(p).sharding.spec)
    if others := [axis for axis, size in mesh.shape.items() if size > 1 and axis not in over]:
        message = f"within jit it is not known how parameters are split along {others[0]!r}: write {_HOW_TO_SAY}."
        raise unnamed(ValueError, message)
    return PartitionSpec()


def _said(layout: Layout, params: Any, rows: Sequence[tuple[str, Any]]) -> list[NamedSharding | PartitionSpec]:
    """What a layout says of each parameter."""
    if is_function(layout):
        of_leaf: Any = layout
        said = [of_leaf(path, leaf) for path, leaf in rows]
        for (path, _), each in zip(rows, said, strict=True):
            _check(f"layout({path!r}, ...)", each)
        return said
    return list(_of_prefixes(dict(tree_leaves_with_path(layout)), params))


def _of_prefixes(said: Mapping[Any, Any], params: Any) -> Iterator[Any]:
    """Yield for each leaf what is said of the longest part of its path."""
    for path, leaf in tree_leaves_with_path(params, is_leaf=is_hole):
        if is_hole(leaf):
            continue
        above = next((path[:k] for k in range(len(path), -1, -1) if path[:k] in said), None)
        if above is None:
            raise unnamed(ValueError, f"layout has nothing for params{keystr(path)}.")
        yield said[above]


def _check(what: str, leaf: Any) -> None:
    if not isinstance(leaf, NamedSharding | PartitionSpec):
        raise unnamed(TypeError, f"{what} must be a NamedSharding or a PartitionSpec, got {leaf!r}.")
