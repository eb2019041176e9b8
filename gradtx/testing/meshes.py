"""Devices, and parameters on them, for the laws of several devices."""

import contextlib
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gradtx.core import Params

_AXES = {"x": 2, "y": 2}


def mesh_of_two_axes(axis_type: AxisType = AxisType.Auto) -> Mesh | None:
    """Return four devices as a mesh, or two, where the second axis has one; None if there is one device."""
    if jax.device_count() < 2:
        return None
    sizes = tuple(_AXES.values()) if jax.device_count() >= 4 else (2, 1)
    devices = jax.devices()[: sizes[0] * sizes[1]]
    return jax.make_mesh(sizes, tuple(_AXES), axis_types=(axis_type,) * 2, devices=devices)


def meshes_of_two_axes() -> dict[str, Mesh]:
    """Return that mesh with automatic and with explicit axes, by the name of their kind; nothing if there is one device."""
    meshes = {kind.name: mesh_of_two_axes(kind) for kind in (AxisType.Auto, AxisType.Explicit)}
    return {name: mesh for name, mesh in meshes.items() if mesh is not None}


def specs_of(params: Params) -> Any:
    """Return how each leaf is split on that mesh: every dimension that divides, as long as there are axes.

    They take turns, so that two leaves of one shape in a row are split in different ways.
    """
    leaves, structure = jax.tree.flatten(params)
    return structure.unflatten([_spec(leaf.shape, list(_AXES)[:: (-1) ** k]) for k, leaf in enumerate(leaves)])


def on_mesh(params: Params, mesh: Mesh) -> Params:
    """Return the parameters on the mesh, split as `specs_of` says."""
    return jax.tree.map(lambda p, spec: jax.device_put(p, NamedSharding(mesh, spec)), params, specs_of(params))


def within(mesh: Mesh) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which a program works on a mesh: an explicit one must be set."""
    return jax.set_mesh(mesh) if AxisType.Explicit in mesh.axis_types else contextlib.nullcontext()


def _spec(shape: tuple[int, ...], axes: list[str]) -> PartitionSpec:
    return PartitionSpec(*(axes.pop(0) if axes and size and size % _AXES[axes[0]] == 0 else None for size in shape))
