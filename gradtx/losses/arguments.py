"""What losses take: arrays of one shape, masks and class labels, each checked by name."""

import functools
import inspect
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import require
from gradtx.core import bound_arguments
from gradtx.core.kinds import is_numeric
from gradtx.errors import names_errors, unnamed
from gradtx.signatures import Binder
from gradtx.tree.dtypes import at_least_float32

Axis: TypeAlias = int | Sequence[int] | None

_P = ParamSpec("_P")
_R = TypeVar("_R")


def loss(
    *names: str, broadcast: bool = False, rows: bool = False, one_class: bool = False, **ranges: require.Range
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Mark a loss: it gets arrays of one shape in float32 at least, and what it returns is cast to the dtype they came in.

    That dtype is the one to which the arrays promote, bfloat16 for two of bfloat16; integers and bools become floats. A mask
    `where` arrives in the shape of the arrays, or as None.

    Args:
      *names: the arguments that are arrays, the first of them floating-point; those that are None stay None.
      broadcast: whether the others may have any shape that broadcasts to the first's, or must have the same.
      one_class: whether one of the arrays may lack the last axis, where another has it with size 1.
      rows: whether `where` may also have the shape of the result: it then keeps or drops all of the axis.
      **ranges: for the arguments that are hyperparameters, the numbers they may be; their dtype counts for nothing.
    """
    first = names[0]

    def mark(function: Callable[_P, _R]) -> Callable[_P, _R]:
        binder = Binder(function, inspect.signature(function))

        @names_errors
        @functools.wraps(function)
        def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            bound = bound_arguments(binder, args, kwargs)
            bound.apply_defaults()
            given = bound.arguments
            arrays = {name: given[name] for name in names if given[name] is not None}
            _require_floats(first, given[first])
            dtype = _promoted(arrays.values())
            working = at_least_float32(dtype)
            for name, x in (_with_classes(arrays) if one_class else arrays).items():
                given[name] = jnp.asarray(x).astype(working)
                if name != first:
                    given[name] = shaped(name, given[name], first, given[first].shape, broadcast=broadcast)
            if given.get("where") is not None:
                given["where"] = _mask(given["where"], first, given[first].shape, given.get("axis", -1), rows=rows)
            for name, allowed in ranges.items():
                given[name] = _number(name, given[name], allowed, working)
            return jax.tree.map(lambda x: x.astype(dtype), function(*bound.args, **bound.kwargs))

        return checked

    return mark


def _with_classes(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays, with an axis of one class where that makes the shape of another."""
    shapes = [np.shape(x) for x in arrays.values()]
    return {name: jnp.expand_dims(x, -1) if (*np.shape(x), 1) in shapes else x for name, x in arrays.items()}


def shaped(name: str, x: jax.Array, like: str, shape: tuple[int, ...], *, broadcast: bool) -> jax.Array:
    """Return `x` in a shape, that of the argument `like`; never does it make `like` grow."""
    if x.shape == shape or (broadcast and _broadcasts(x.shape, shape)):
        return jnp.broadcast_to(x, shape)
    also = ", or one that broadcasts to it" if broadcast else ""
    raise unnamed(ValueError, f"{name} must have the shape {shape}, as {like}{also}; got {x.shape}.")


def kept(where: jax.Array | None, x: jax.Array, otherwise: Any = 0) -> jax.Array:
    """Return `x` where the mask says so; what is masked can be NaN, and has no gradient."""
    return x if where is None else jnp.where(where, x, otherwise)


def one_hot(labels: Any, like: str, shape: tuple[int, ...]) -> jax.Array:
    """Return where along the last axis of a shape the label is: nowhere, for a label out of range.

    Args:
      labels: integers in the shape without its last axis; negative ones count from the end.
      like: the name of the argument that has the shape.
      shape: (..., classes).

    Raises:
      TypeError: `labels` are not integers.
      ValueError: they have another shape.
    """
    labels = jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise unnamed(TypeError, f"labels must be integers, got {labels.dtype}.")
    if labels.shape != shape[:-1]:
        raise unnamed(ValueError, f"labels must have the shape {shape[:-1]}, as {like} without classes; got {labels.shape}.")
    labels = jnp.where(labels < 0, labels + shape[-1], labels)
    classes = jax.lax.broadcasted_iota(labels.dtype, shape, len(shape) - 1)
    return jnp.expand_dims(labels, -1) == classes


def at_label(hot: jax.Array, x: jax.Array) -> jax.Array:
    """Return the entry of `x` at the label, NaN for a label out of range."""
    return jnp.where(jnp.any(hot, axis=-1), jnp.sum(jnp.where(hot, x, 0), axis=-1), jnp.nan)


def reduced_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return axes as a tuple of numbers that count from the first."""
    axes = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    if outside := [axis for axis in axes if not -ndim <= axis < ndim]:
        raise unnamed(ValueError, f"axis must be among those of an array of {ndim} axes, got {outside[0]}.")
    return tuple(axis % ndim for axis in axes)


def _mask(where: Any, like: str, shape: tuple[int, ...], axis: Axis, *, rows: bool) -> jax.Array:
    where = jnp.asarray(where)
    if where.dtype != bool:
        raise unnamed(TypeError, f"where must be an array of bools, got {where.dtype}.")
    axes = reduced_axes(axis, len(shape))
    full = jnp.expand_dims(where, axes) if rows and where.ndim == len(shape) - len(axes) else where
    if full.ndim != len(shape) or not _broadcasts(full.shape, shape):
        also = ", or that of the result" if rows else ""
        raise unnamed(
            ValueError, f"where must have the shape {shape}, as {like}, with 1 for any axis{also}; got {where.shape}."
        )
    return jnp.broadcast_to(full, shape)


def _require_floats(name: str, x: Any) -> None:
    if not jnp.issubdtype(jnp.result_type(x), jnp.floating):
        raise unnamed(TypeError, f"{name} must be of a floating-point dtype, got {jnp.result_type(x)}.")


def _promoted(arrays: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*arrays)


def _number(name: str, x: Any, allowed: require.Range, dtype: Any) -> Any:
    """A hyperparameter, or None; one in Python stays, so that a square is a product."""
    if x is None:
        return None
    if not is_numeric(x):
        raise unnamed(TypeError, f"{name} must be a number, got {require.shortened(x)}.")
    require.in_range(name, x, allowed)
    return float(x) if isinstance(x, numbers.Real) else jnp.asarray(x).astype(dtype)


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of one shape broadcasts to another, which stays as it is."""
    trailing = to[len(to) - len(shape) :]
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(shape, trailing, strict=True))
