"""Trees like another one: same structure, shapes and sharding, new values."""

import functools
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from gradtx.errors import unnamed
from gradtx.tree import mismatch
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.layout import placed_like

_Tree = TypeVar("_Tree")


def full_like(tree: _Tree, fill_value: Any, dtype: Any = None) -> _Tree:
    """Return a tree like `tree` filled with a value; each leaf keeps the sharding of its model, also under `jit`.

    Args:
      tree: a tree of arrays.
      fill_value: a scalar.
      dtype: of the result; by default each leaf's own.
    """
    return jax.tree.map(lambda leaf: _full(leaf, fill_value, dtype), tree)


def zeros_like(tree: _Tree, dtype: Any = None) -> _Tree:
    """Return a tree of zeros like `tree`; see `full_like`."""
    return full_like(tree, 0, dtype)


def ones_like(tree: _Tree, dtype: Any = None) -> _Tree:
    """Return a tree of ones like `tree`; see `full_like`."""
    return full_like(tree, 1, dtype)


def full_of_shape(model: jax.Array, shape: int | tuple[int, ...], fill_value: Any = 0) -> jax.Array:
    """Return an array of any shape, filled with a value, of the dtype of `model` and on its devices, whole on each.

    Args:
      model: an array.
      shape: of the result.
      fill_value: a scalar.
    """
    whole = _whole(model)
    if jnp.shape(model) in (shape, (shape,)):
        model = jnp.expand_dims(model, 0)  # of the same shape it would be split as `model` is
    return jnp.full_like(model, fill_value, shape=shape, device=whole)


def batch_shape(tree: _Tree, shape: tuple[int, ...] = ()) -> _Tree:
    """Return a tree whose leaves repeat those of `tree` along new leading axes.

    Args:
      tree: a tree of arrays.
      shape: of the new axes; a leaf of shape `s` becomes one of shape `shape + s`.
    """
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*shape, *jnp.shape(leaf))), tree)


def moment_like(params: Any, dtype: Any = None, *, fill_value: float = 0.0, real: bool = False) -> Any:
    """Return the start of a moment of the gradients of `params`, kept in float32 or wider unless `dtype` says otherwise.

    In bfloat16 a moment with decay 0.999 never decays: the step of 0.1 % is less than half of the last digit.

    Args:
      params: a tree of floating-point or complex arrays.
      dtype: of the moment, real or complex. Leaves of the other kind keep their own: a real dtype has no place for the
        imaginary part, and there is no complex bfloat16. A complex dtype needs a complex leaf.
      fill_value: the value at the start.
      real: whether the moment is real also for complex parameters, as that of |g|² is.

    Raises:
      TypeError: a leaf of `params` is not a floating-point or complex array, or `dtype` is not such a dtype, or
        is complex and none of `params` is.
    """
    mismatch.check_params(params)
    check_moment_dtype(dtype)
    _check_complex_is_used(params, dtype)
    return jax.tree.map(lambda p: _full(p, fill_value, _moment_dtype(jnp.result_type(p), dtype, real)), params)


def copy_of(params: Any, dtype: Any = None) -> Any:
    """Return `params` as a state keeps them: in arrays of their own, in float32 or wider unless `dtype` says otherwise.

    A state that held the very arrays of the parameters could not be donated together with them.

    Args:
      params: a tree of floating-point or complex arrays.
      dtype: see `moment_like`.

    Raises:
      TypeError: see `moment_like`.
    """
    return jax.tree.map(lambda zero, p: zero + jnp.asarray(p, zero.dtype), moment_like(params, dtype), params)


def check_moment_dtype(dtype: Any) -> None:
    """Raise `TypeError` unless `dtype` is None or can hold an average."""
    try:
        is_float = dtype is None or jnp.issubdtype(jnp.dtype(dtype), jnp.inexact)
    except TypeError as error:
        raise unnamed(TypeError, f"{dtype!r} is not a dtype; write one such as jnp.bfloat16 or 'bfloat16'.") from error
    if not is_float:
        raise unnamed(TypeError, f"a moment needs a floating-point dtype, got {jnp.dtype(dtype)}, which would truncate it.")


def _check_complex_is_used(params: Any, dtype: Any) -> None:
    """Raise `TypeError` if a complex dtype was chosen for leaves that are all real, which would ignore it."""
    leaves = jax.tree.leaves(params)
    if dtype is not None and _is_complex(dtype) and leaves and not any(_is_complex(jnp.result_type(p)) for p in leaves):
        message = f"a moment of {jnp.dtype(dtype)} was asked for, but all parameters are real; write a real dtype or None."
        raise unnamed(TypeError, message)


def _moment_dtype(own: Any, wanted: Any, real: bool) -> Any:
    """The dtype of a moment of parameters of the dtype `own`."""
    own = jnp.finfo(own).dtype if real else own
    return at_least_float32(own) if wanted is None or _is_complex(own) != _is_complex(wanted) else wanted


def _is_complex(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.complexfloating)


def _whole(model: jax.Array) -> Sharding | None:
    """The sharding of an array of any shape that lies whole on every device, as `model` does; None if that has no such one."""
    if isinstance(model, Tracer) or not (model.committed and model.sharding.is_fully_replicated):
        return None
    if not isinstance(model.sharding, NamedSharding):
        return model.sharding
    # On an explicit mesh it names every axis of `model`, and in JAX 0.11 and 0.12 fits no array that has fewer or more.
    return NamedSharding(model.sharding.mesh, PartitionSpec(), memory_kind=model.sharding.memory_kind)


def _full(leaf: Any, fill_value: Any, dtype: Any) -> jax.Array:
    # What is committed to devices is filled there; all else by a program for each shape, which is quick to call and to trace.
    is_free = isinstance(leaf, Tracer) or (isinstance(leaf, jax.Array) and not leaf.committed)
    filled = (_fill if is_free else jnp.full_like)(leaf, fill_value, dtype=dtype)
    # A constant has no sharding of its own: a state made under jit would be replicated on every device.
    return placed_like(leaf, filled)


@functools.partial(jax.jit, static_argnames="dtype")
def _fill(leaf: jax.Array, fill_value: Any, dtype: Any) -> jax.Array:
    return jnp.full_like(leaf, fill_value, dtype=dtype)
