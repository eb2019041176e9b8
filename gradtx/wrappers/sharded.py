"""Divide the state of a transformation among devices that have copies of the parameters (Rajbhandari et al. 2019)."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree
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
from gradtx.errors import warn
from gradtx.tree import mismatch, scopes
from gradtx.tree.division import (
    Layout,
    Split,
    check_layout,
    divide,
    divide_param,
    divisions,
    is_whole,
    largest_dimension,
    of_whole,
    restore,
)
from gradtx.tree.masks import is_function
from gradtx.tree.paths import leaves_with_paths

_MUCH = 0.05  # of the bytes of the parameters
_FEW = 5  # names in a warning


@factory
def sharded(
    inner: Transformation, over: str | Sequence[str] = "data", *, layout: Layout | None = None, split: Split | None = None
) -> GradientTransformationExtraArgs:
    """ZeRO, stage 1: the devices that have copies of the parameters divide the state of `inner` and its work among them.

        tx = sharded(adamw(1e-3))                     on 8 devices along "data", an eighth of the state is on each
        tx = sharded(adamw(1e-3), layout=jax.tree.map(lambda p: p.sharding, params))

    While `inner` runs, each leaf of the gradients and the parameters is split along one more dimension, and so is what it keeps
    for them; then its updates are gathered to the layout of the parameters. The state is that of `inner`, with the same
    numbers, and a checkpoint of it can be restored into `abstract_state(tx, params)` on any mesh.

    Gradients may come whole, split, or not summed yet (`unreduced`, as types of explicit meshes say). When their sums are
    scattered, a step sends what plain data parallelism does: a part for the sums, a part for the updates. Compilers for GPU and
    TPU scatter the sums of a jitted step by themselves; that for CPU sums all on every device first, which is half as much
    again.

    How the parameters are split is asked of `layout`, then of the types of an explicit mesh, then of the arrays. Within `jit`
    on another mesh only the compiler knows it. There, without `layout`, the parameters are taken to be whole on all devices; if
    the mesh has other axes than `over`, `layout` must be given.

    A leaf that is split along `over` already stays so. One that no dimension of which divides stays whole on all devices, with
    its state; you get a warning if these are more than 5 % of the parameters.

    Args:
      inner: a transformation; best a whole optimizer.
      over: an axis of the mesh, or several, along which parameters are copied.
      layout: a `NamedSharding` or `PartitionSpec` for each parameter: one for all, or a tree that may stop above the leaves it
        speaks for, or a function `(path, leaf)` with paths such as "layers/0/bias".
      split: a function `(shape, spec, axes)` that returns the dimension of a leaf to divide, or None to leave it whole. `shape`
        is that of the part of a device, `spec` says how the leaf is split already, dimension by dimension, `axes` are those in
        `over` with their sizes. By default the largest dimension that divides; the last one only if no other does, as parts of
        it do not lie together.

    Raises:
      TypeError: `layout` is something else.
      ValueError: from `init` and `update`, if no mesh is known or it has not these axes; within `shard_map` along them; if
        `layout` must be given, or lacks a parameter; or if `split` returns a dimension that does not divide.

    References:
      Rajbhandari, Rasley, Ruwase and He, ZeRO: Memory Optimizations Toward Training Trillion Parameter Models, 2019,
        https://arxiv.org/abs/1910.02054
      Xu, Lee, Chen, Choi, Hechtman and Wang, Automatic Cross-Replica Sharding of Weight Update in Data-Parallel Training, 2020,
        https://arxiv.org/abs/2004.13336
    """
    inner = with_extra_args_support(inner)
    check_layout(layout)
    axes = (over,) if isinstance(over, str) else tuple(over)

    def divided(params: Params) -> Any:
        with scopes.layers_together():
            return divisions(params, layout, axes, largest_dimension if split is None else split)

    def init(params: Params) -> OptState:
        each = divided(params)
        own = _each(divide_param, params, each)
        with _said(each):
            state = inner.init(own)
        _warn_of_whole(params, each, state, axes)
        return state

    @forwards_to(inner, states=lambda state: (state,), lays_out=True)
    def update(updates: Updates, state: OptState, params: Params, **extra_args: Any):
        each = divided(params)
        with mismatch.explaining(g=updates, p=params):
            parts, own = _each(divide, updates, each), _each(divide_param, params, each)
        extra_args = {name: _divided_argument(arg, each) for name, arg in extra_args.items()}
        with _said(each):
            updates, state = inner.update(parts, state, own, **extra_args)
        return _each(restore, updates, each), state

    return GradientTransformationExtraArgs(init, update)


def _each(change: Callable[[Any, Any], Any], arrays: Any, divisions: Any) -> Any:
    """The leaves, each changed as its division says; of what is stacked all layers together."""
    with scopes.layers_together():
        return tree.map_leaves(change, arrays, divisions)


def _divided_argument(arg: Any, divisions: Any) -> Any:
    """A tree like the parameters, such as `grad`, divided; a function of them, such as `value_fn`, as one of divided ones."""
    if is_function(arg):
        return of_whole(arg, divisions)
    is_like_params = jax.tree.structure(arg) == jax.tree.structure(divisions)
    return _each(divide, arg, divisions) if is_like_params else arg


def _said(divisions: Any) -> contextlib.AbstractContextManager[None]:
    """Say to what works on whole matrices how they are split."""
    return scopes.placed(divisions, lambda place, division: place._replace(sharding=division.divided))


def _warn_of_whole(params: Params, divisions: Any, state: OptState, over: Sequence[str]) -> None:
    """Name the parameters that are not divided, or else the parts of the state, if they are many bytes."""
    rows = leaves_with_paths(params)
    much = _MUCH * max(sum(_bytes(x) for x in jax.tree.leaves(each)) for each in (params, state))
    of_params = [row for row, division in zip(rows, jax.tree.leaves(divisions), strict=True) if is_whole(division, over)]
    of_state = [(path, x) for path, x in leaves_with_paths(state) if jnp.ndim(x) and is_whole(x, over)]
    for what, whole in (("parameters", of_params), ("the state", of_state)):
        if sum(_bytes(x) for _, x in whole) > much:
            names = [repr(path) for path, _ in whole]
            shown = ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
            warn(f"sharded: of {what} {shown} cannot be divided along {', '.join(over)}, and every device has all of it.")
            return


def _bytes(x: Any) -> int:
    return jnp.size(x) * jnp.result_type(x).itemsize
