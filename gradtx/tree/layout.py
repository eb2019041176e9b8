"""Lay one array out as another: with its sharding, whoever knows it."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec, reshard


def placed_like(model: Any, array: jax.Array) -> jax.Array:
    """Return a fresh `array` with the sharding of `model`, an array of its shape; under `jit` only the compiler knows it."""
    return _placed(model, array, _chosen_over)


def kept_like(model: Any, array: jax.Array) -> jax.Array:
    """Return `array`, which replaces `model`, with the sharding of `model`, whatever the sharding of what it was made of."""
    return _placed(model, array, lambda model, array: _laid_out_together()(model, array))


@functools.cache
def _laid_out_together() -> Callable[[jax.Array, jax.Array], jax.Array]:
    try:  # imported here, as it opens half of `jax.extend`, for several devices alone
        from gradtx.tree.sharding_groups import laid_out_together
    except (ImportError, AttributeError):  # in a JAX to come
        return _chosen_over  # which follows any model but a replicated one
    return laid_out_together


def _placed(model: Any, array: jax.Array, tie: Callable[[jax.Array, jax.Array], jax.Array]) -> jax.Array:
    if jax.device_count() == 1 or not isinstance(model, jax.Array):  # a number, or a shape alone
        return array
    compiling = isinstance(jnp.zeros(()), Tracer)  # which no array is under vmap or grad alone
    return tie(model, array) if compiling else _put_where(model, array)


def _chosen_over(model: jax.Array, array: jax.Array) -> jax.Array:
    # A choice that always falls on `array`: the compiler lays both sides out alike, and then drops the other one unread.
    if model.dtype != array.dtype and any(jnp.issubdtype(x.dtype, jax.dtypes.extended) for x in (model, array)):
        return array  # a random key is not a number
    return _select(False, jax.lax.stop_gradient(model), reshard_like(model, array))


@jax.jit  # within a call the compiler does not see which side is chosen before it has laid out both
def _select(first: bool, model: jax.Array, array: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(model) and not jnp.iscomplexobj(array):
        model = model.real
    return jax.lax.select(first, model.astype(array.dtype), array)


def _put_where(model: jax.Array, array: jax.Array) -> jax.Array:
    if isinstance(model, Tracer) or isinstance(array, Tracer) or not model.committed:
        return array
    return array if array.sharding.is_equivalent_to(model.sharding, model.ndim) else jax.device_put(array, model.sharding)


def all_gathered(x: jax.Array) -> jax.Array:
    """Return `x` whole on every device of an explicit mesh, where work across a split axis has no layout of its own."""
    sharding = jax.typeof(x).sharding
    return reshard(x, NamedSharding(sharding.mesh, PartitionSpec())) if _is_split(sharding) else x


def _is_split(sharding: NamedSharding) -> bool:
    return any(axes is not None for axes in sharding.spec)


def reshard_like(model: jax.Array, array: jax.Array) -> jax.Array:
    """Return `array` split among the devices of an explicit mesh as `model` is."""
    sharding = jax.typeof(model).sharding
    return array if sharding.mesh.empty or jax.typeof(array).sharding == sharding else reshard(array, sharding)


def first_axis_like(model: jax.Array, array: jax.Array) -> jax.Array:
    """Return `array` with its first axis split among the devices of an explicit mesh as that of `model` is."""
    sharding, own = jax.typeof(model).sharding, jax.typeof(array).sharding
    if sharding.mesh.empty or (not _is_split(sharding) and not _is_split(own)) or own.spec[:1] == sharding.spec[:1]:
        return array
    return reshard(array, NamedSharding(sharding.mesh, PartitionSpec(sharding.spec[0], *own.spec[1:])))


def mesh_of(tree: Any) -> Mesh | AbstractMesh | None:
    """Return the mesh of the first array of a tree that is on one, traced or not, else that which is set, if there is one."""
    meshes = (_its_mesh(x) for x in jax.tree.leaves(tree))
    return next((mesh for mesh in (*meshes, jax.sharding.get_abstract_mesh()) if not mesh.empty), None)


def _its_mesh(x: Any) -> Mesh | AbstractMesh:
    """The mesh of an array; with its devices, if it has its numbers, so that what lies elsewhere can be sent there."""
    mesh, own = jax.typeof(x).sharding.mesh, getattr(x, "sharding", None)
    return own.mesh if isinstance(own, NamedSharding) and not isinstance(x, Tracer) and not is_explicit(mesh) else mesh


def laid_out(x: Any, sharding: NamedSharding) -> jax.Array:
    """Return `x` split among the devices of a mesh: on an explicit one that is its type, on others an order to the compiler."""
    if is_explicit(sharding.mesh):
        return reshard(x, sharding)
    if isinstance(sharding.mesh, AbstractMesh) and not isinstance(x, Tracer):
        x = jax.lax.optimization_barrier(x)  # which makes a constant of a program a value in it, wherever it lies
    return jax.lax.with_sharding_constraint(x, sharding)


def axes_in(entry: Any) -> tuple[str, ...]:
    """Return the axes of a mesh that an entry of a `PartitionSpec` names."""
    return () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)


def is_explicit(mesh: Mesh | AbstractMesh) -> bool:
    """Return whether types say how arrays are split along all axes of a mesh."""
    return set(mesh.axis_types) == {AxisType.Explicit}


def whole_spec(mesh: Mesh | AbstractMesh, ndim: int) -> PartitionSpec:
    """Return the spec of an array that is not split, as a program returns it: JAX takes another one for another layout."""
    return PartitionSpec(*[None] * ndim) if is_explicit(mesh) else PartitionSpec()


def on_mesh_of(model: Any, tree: Any) -> Any:
    """Return `tree` with what lies on no device in particular on all devices of the mesh on which the arrays of `model` are.

    So a program that is given both is compiled for one layout, that which it returns, and shardings of the leaves go together.
    """
    if jax.device_count() == 1:
        return tree
    _laid_out_together()  # imported in the trace of a step it would have JAX 0.12 trace that again: settings come with it
    tree = _beside(jax.tree.leaves(model), tree)
    shardings = {x.sharding if isinstance(x, jax.Array) and not isinstance(x, Tracer) else None for x in jax.tree.leaves(model)}
    meshes = {sharding.mesh if isinstance(sharding, NamedSharding) else None for sharding in shardings}
    if len(meshes) != 1 or (mesh := meshes.pop()) is None or isinstance(mesh, AbstractMesh) or mesh.is_multi_process:
        return tree
    whole = NamedSharding(mesh, PartitionSpec())

    def placed(x: Any) -> Any:
        is_array = isinstance(x, jax.Array) and not isinstance(x, Tracer)
        # Within `jax.set_mesh` JAX commits what it makes of a list, and says less of it than a program does that returns it.
        is_anywhere = is_array and (not x.committed or x.sharding == whole)
        return jax.device_put(x, NamedSharding(mesh, whole_spec(mesh, x.ndim))) if is_anywhere else x

    return jax.tree.map(placed, tree)


def _beside(models: list[Any], tree: Any) -> Any:
    """A state, of which nothing may be made of the parameters, of an `init` that needs one: else it would run on one device."""
    traced = next((x for x in models if isinstance(x, Tracer)), None)
    # Within shard_map, numbers that are the same on all devices must stay so.
    if traced is None or jax.sharding.get_abstract_mesh().manual_axes:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    arrays = {k: x for k, x in enumerate(leaves) if isinstance(x, jax.Array)}
    # A float would get a derivative, though it is 0.
    whole = next((k for k, x in arrays.items() if x.dtype == bool or jnp.issubdtype(x.dtype, jnp.integer)), None)
    if whole is None or {x.shape for x in arrays.values()} & {x.shape for x in models if isinstance(x, jax.Array) and x.ndim}:
        return tree
    leaves[whole], _ = jax.lax.optimization_barrier((leaves[whole], traced))
    return structure.unflatten(leaves)


def split_last_axis(x: jax.Array, size: int) -> jax.Array:
    """Return `x` with its last axis as two, the second of this size. On an explicit mesh the first is split as the one was.

    Where what a device has of the last axis is no multiple of the size, all of it is gathered before.
    """
    shape, sharding = (*x.shape[:-1], x.shape[-1] // size, size), jax.typeof(x).sharding
    if not _is_split(sharding):
        return x.reshape(shape)
    *spec, last = sharding.spec
    if shape[-2] % math.prod(sharding.mesh.shape[axis] for axis in axes_in(last)):
        x, last = reshard(x, NamedSharding(sharding.mesh, PartitionSpec(*spec, None))), None
    return jax.lax.reshape(x, shape, out_sharding=NamedSharding(sharding.mesh, PartitionSpec(*spec, last, None)))


def joined_last_axes(x: jax.Array) -> jax.Array:
    """Return `x` with its last two axes as one, the inverse of `split_last_axis`."""
    shape, sharding = (*x.shape[:-2], x.shape[-2] * x.shape[-1]), jax.typeof(x).sharding
    if not _is_split(sharding):
        return x.reshape(shape)
    return jax.lax.reshape(x, shape, out_sharding=NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[:-1])))


def rests_on_host(x: Any) -> bool:
    """Return whether something is an array in the memory of the host, beside that of the device."""
    return isinstance(x, jax.Array) and jax.typeof(x).memory_space == jax.memory.Space.Host


def on_device(x: Any) -> Any:
    """Return an array that rests in the memory of the host in that of its device, and all else as it is."""
    return in_memory(x, jax.memory.Space.Device)


def in_memory(x: Any, space: Any) -> Any:
    """Return an array in a memory, itself if it is there already, and all else as it is."""
    if not isinstance(x, jax.Array):
        return x
    resting = jax.typeof(x).memory_space
    return x if resting == space else jax.device_put(x, space, src=resting)  # without `src` it cannot be transposed


def varying_like(model: Any, tree: Any) -> Any:
    """Return `tree` with every leaf varying along those axes of `shard_map` along which some leaf of `model` varies.

    A loop demands it of what it begins with, and a derivative of its tangents: a constant varies along none.
    """
    axes = frozenset[str]().union(*(varying_axes(x) for x in jax.tree.leaves(model)))

    def varying(x: Any) -> Any:
        missing = tuple(axes - varying_axes(x))
        return _made_varying(x, missing) if missing else x

    return jax.tree.map(varying, tree)


def varying_axes(x: Any) -> frozenset[str]:
    """Return the axes of `shard_map` along which `x` varies."""
    kind = jax.typeof(x)
    # Before JAX 0.10 an array's type had the axes themselves.
    return kind.manual_axis_type.varying if hasattr(kind, "manual_axis_type") else kind.vma


def _made_varying(x: Any, axes: tuple[str, ...]) -> Any:
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(x, axes, to="varying")
    return jax.lax.pvary(x, axes)  # pyright: ignore[reportAttributeAccessIssue]  (before JAX 0.8.2)
