"""Where a state will lie among devices, before there is one."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, Sharding

from gradtx.core import OptState, Params, Transformation
from gradtx.errors import names_errors, unnamed
from gradtx.inspection.walk import dtype_of


@names_errors
def abstract_state(tx: Transformation, params: Params) -> OptState:
    """Return the state that `tx.init` makes, as `jax.ShapeDtypeStruct`s with their shardings.

        target = abstract_state(tx, params)                                            to restore a checkpoint into
        jax.jit(step).lower(params, target, batch).compile()                           to compile, and plan, ahead of time

    Nothing is computed or compiled, and no device is needed: `params` may be shapes on an `AbstractMesh` of a thousand of them.

    Args:
      tx: a transformation.
      params: the parameters, or `ShapeDtypeStruct`s with the shardings that they will have. Those of a mesh are laid out as
        there; what has no sharding, or is on one device, leaves the choice to the compiler: then `sharding` is None.

    Raises:
      ValueError: parameters lie on different meshes.
    """
    meshes = meshes_of(params)
    if len(meshes) > 1:
        raise unnamed(ValueError, f"parameters lie on {len(meshes)} meshes: {', '.join(sorted(map(str, meshes)))}.")
    mesh = next(iter(meshes), None)
    with planned(params, mesh) as shapes_of_params:
        jaxpr, shapes = jax.make_jaxpr(tx.init, return_shape=True)(shapes_of_params)
    leaves, structure = jax.tree.flatten(shapes)
    pairs = zip(leaves, jaxpr.out_avals, strict=True)
    return structure.unflatten(_on(mesh, leaf, aval) for leaf, aval in pairs)


@names_errors
def state_shardings(tx: Transformation, params: Params) -> OptState:
    """Return the shardings of the state that `tx.init` makes, as `jax.jit(..., out_shardings=...)` takes them.

    Args:
      tx: a transformation.
      params: see `abstract_state`.

    Raises:
      ValueError: see `abstract_state`; or no parameter says on which mesh it is.
    """
    state = abstract_state(tx, params)
    if any(leaf.sharding is None for leaf in jax.tree.leaves(state)):
        raise unnamed(ValueError, "no parameter is on a mesh: give arrays, or ShapeDtypeStructs with a NamedSharding.")
    return jax.tree.map(lambda leaf: leaf.sharding, state)


def meshes_of(params: Params) -> set[Mesh | AbstractMesh]:
    """Return the meshes that the parameters are on."""
    return {sharding.mesh for p in jax.tree.leaves(params) if isinstance(sharding := _sharding_of(p), NamedSharding)}


@contextlib.contextmanager
def planned(params: Params, mesh: Mesh | AbstractMesh | None) -> Iterator[Params]:
    """Within, arrays are as on an explicit mesh, whatever mesh is set: there the types say how each array is split.

    Yields the shapes of the parameters there; as they are without a mesh, if that is None.
    """
    explicit = None if mesh is None else _explicit(mesh)

    def shape(p: Any) -> jax.ShapeDtypeStruct:
        sharding = None if explicit is None else NamedSharding(explicit, _spec_of(p))
        return jax.ShapeDtypeStruct(jnp.shape(p), dtype_of(p), sharding=sharding)

    with contextlib.nullcontext() if explicit is None else jax.sharding.use_abstract_mesh(explicit):
        yield jax.tree.map(shape, params)


def _sharding_of(p: Any) -> Sharding | None:
    return getattr(p, "sharding", None)


def _spec_of(p: Any) -> Any:
    sharding = _sharding_of(p)
    return sharding.spec if isinstance(sharding, NamedSharding) else jax.P()


def _explicit(mesh: Mesh | AbstractMesh) -> AbstractMesh:
    """A mesh of the same axes, along which types say how an array is split."""
    return AbstractMesh(mesh.axis_sizes, mesh.axis_names, axis_types=(AxisType.Explicit,) * len(mesh.axis_names))


def _on(mesh: Mesh | AbstractMesh | None, leaf: jax.ShapeDtypeStruct, aval: Any) -> jax.ShapeDtypeStruct:
    """A leaf of the state with its sharding on the mesh of the parameters."""
    if mesh is None:
        return leaf
    sharding = NamedSharding(mesh, aval.sharding.spec)
    if aval.memory_space == jax.memory.Space.Host:
        sharding = sharding.with_memory_kind("pinned_host")
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
