"""Sharding groups of the compiler: arrays that it lays out alike, whatever else it would make of them.

JAX called them `shard_alike` up to 0.11.1. The compiler still has them; here they are asked for through JAX's interface for
primitives of one's own.
"""

import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.extend.mlir.dialects import sdy
from jax.interpreters import ad, batching, mlir


def laid_out_together(model: jax.Array, array: jax.Array) -> jax.Array:
    """Return `array`, in a program that is being compiled, with the sharding of `model`, an array of its shape."""
    if jax.sharding.get_abstract_mesh().manual_axes:  # where some axes are, and others not, the compiler fails
        return array
    return _laid_out_together.bind(jax.lax.stop_gradient(model), array)


_laid_out_together: Any = Primitive("laid_out_together")
_laid_out_together.def_impl(lambda model, array: array)
_laid_out_together.def_abstract_eval(lambda model, array: array)
ad.primitive_jvps[_laid_out_together] = lambda primals, tangents: (_laid_out_together.bind(*primals), tangents[1])


def _lowered(context: Any, model: Any, array: Any) -> list[Any]:
    if getattr(jax.config, "jax_use_shardy_partitioner", True):  # the older partitioner knows no groups
        group = next(_NEXT_GROUP.setdefault(context.module_context.module, itertools.count(_FIRST_GROUP)))
        sdy.sharding_group(model, group)
        sdy.sharding_group(array, group)
    return [array]


# They are counted within each program: the text of a program, by which a compilation cache finds it, has no other history.
_NEXT_GROUP: weakref.WeakKeyDictionary[Any, Iterator[int]] = weakref.WeakKeyDictionary()
_FIRST_GROUP = 1 << 32  # away from the groups that JAX makes


def _batched(operands: Any, axes: Any) -> tuple[jax.Array, int]:
    model, array = operands
    model_axis, array_axis = axes
    if array_axis is None:
        array, array_axis = jnp.broadcast_to(array, (model.shape[model_axis], *array.shape)), 0
    if model_axis is None:
        return array, array_axis  # the new axis lies as it may
    return _laid_out_together.bind(jnp.moveaxis(model, model_axis, array_axis), array), array_axis


batching.primitive_batchers[_laid_out_together] = _batched
mlir.register_lowering(_laid_out_together, _lowered, cacheable=False)  # each is a group of its own
