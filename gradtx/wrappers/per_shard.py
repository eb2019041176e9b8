"""A transformation that works right inside of `shard_map`, where each device sees its own part of the parameters."""

from typing import Any

import jax
from jax import lax
from jax.sharding import PartitionSpec
from jax.tree_util import keystr

from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    with_extra_args_support,
)
from gradtx.errors import unnamed
from gradtx.tree.layout import axes_in
from gradtx.tree.scopes import MeshAxes, Place, placed


@factory
def per_shard(
    inner: Transformation, specs: PartitionSpec | Any, *, batch: str | tuple[str, ...] | None = None
) -> GradientTransformationExtraArgs:
    """Tell `inner` how the parameters are split, so that it is right inside of `shard_map`.

        @jax.shard_map(mesh=mesh, in_specs=(specs, state_specs, specs), out_specs=(specs, state_specs))
        def step(gradients, state, params):
            return per_shard(lamb(1e-3), specs).update(gradients, state, params)

    There, a device sees its own part of each parameter, and a norm, a mean or a random number would be that of the part. With
    this, whatever `inner` reduces is reduced over the devices that have the other parts, noise differs between parts and not
    between copies of one, and what works on whole matrices gathers them. Outside of `shard_map` nothing of the kind is needed:
    under `jit` alone JAX sees whole arrays.

    Extra arguments are handed on as they are: `value`, and what `value_fn` returns, must be of all devices, by `lax.psum`.

    The state is that of `inner` for the parts; `state_shardings(inner, params)` of the whole parameters has its specs:
    `jax.tree.map(lambda sharding: sharding.spec, ...)`.

    Args:
      inner: a transformation.
      specs: a `PartitionSpec` for each parameter, or for all below a node: the `in_specs` of the parameters.
      batch: the axes of the mesh along which examples are split, for `differentially_private_aggregate`, which adds its noise
        to the sum over all devices, once. By default those along which gradients vary and no parameter does, which `shard_map`
        knows unless it was told `check_vma=False`.

    Raises:
      TypeError: `specs` holds something else.
      ValueError: `specs` do not match the parameters, or name an axis that there is none of: this is not inside of `shard_map`.
    """
    inner = with_extra_args_support(inner)
    rows = jax.tree_util.tree_leaves_with_path(specs, is_leaf=_is_spec) or [((), specs)]
    for path, spec in rows:
        if not _is_spec(spec):
            raise unnamed(TypeError, f"specs{keystr(path)} must be a PartitionSpec, got {spec!r}.")

    devices = (batch,) if isinstance(batch, str) else batch

    def place(before: Place, names: _Axes) -> Place:
        return before._replace(split=tuple(names), batch=devices)

    def init(params: Params) -> OptState:
        with placed(_for_each_leaf(specs, params), place):
            return inner.init(params)

    @forwards_to(inner, states=lambda state: (state,))
    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        with placed(_for_each_leaf(specs, updates if params is None else params), place):
            return inner.update(updates, state, params, **extra_args)

    return GradientTransformationExtraArgs(init, update)


def _is_spec(node: Any) -> bool:
    return isinstance(node, PartitionSpec)


def _for_each_leaf(specs: Any, tree: Any) -> Any:
    """The axes of the mesh along which each axis of each leaf is split, in a tree like `tree`."""
    axes = jax.tree.map(_axes, specs, is_leaf=_is_spec)
    try:
        return jax.tree.map(lambda names, part: jax.tree.map(lambda _: names, part), axes, tree)
    except ValueError as error:
        shown = f"{jax.tree.structure(axes)}, not {jax.tree.structure(tree)}"
        raise unnamed(ValueError, f"specs do not match the parameters: {shown}.") from error


class _Axes(tuple[MeshAxes, ...]):
    """No node of a tree."""


def _axes(spec: PartitionSpec) -> _Axes:
    names = _Axes(map(axes_in, spec))
    for name in (name for each in names for name in each):
        try:
            lax.axis_size(name)
        except NameError as error:
            message = f"there is no axis {name!r}: call it inside of shard_map. Outside, no per_shard is needed."
            raise unnamed(ValueError, message) from error
    return names
