"""The value of an old array in the place of a new one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.tree.dtypes import truncates
from gradtx.tree.layout import placed_like


def misfit(new: Any, old: Any, growing: bool = False) -> str | None:
    """Return why `new` cannot take the value of `old`, or None if it can.

    Args:
      new: an array.
      old: another.
      growing: whether `new` may be larger than `old`.
    """
    if np.shape(new) != np.shape(old) and not (growing and is_larger(new, old)):
        return f"shape {np.shape(new)} instead of {np.shape(old)}"
    ours, theirs = _dtype(new), _dtype(old)
    return None if _converts(theirs, ours) else f"dtype {ours} instead of {theirs}"


def is_larger(new: Any, old: Any) -> bool:
    """Return whether `old` has another shape than `new` and fits into it."""
    ours, theirs = np.shape(new), np.shape(old)
    return ours != theirs and len(ours) == len(theirs) and all(a >= b for a, b in zip(ours, theirs, strict=True))


def are_equal(one: Any, other: Any) -> bool:
    """Return whether two arrays are known to have equal values."""
    unknown = Tracer | jax.ShapeDtypeStruct
    return not isinstance(one, unknown) and not isinstance(other, unknown) and np.array_equal(one, other)


def taken_over(new: Any, old: Any) -> jax.Array:
    """Return an array of its own with the values of `old`, in the shape, dtype and sharding of `new`.

    Where `new` is larger, it keeps its own values beyond the leading corner.
    """
    old = _free_to_move(new, old)
    if np.shape(new) == np.shape(old):
        return placed_like(new, jnp.array(old, dtype=new.dtype))
    corner = tuple(slice(size) for size in np.shape(old))
    return placed_like(new, new.at[corner].set(jnp.asarray(old, dtype=new.dtype)))


def _free_to_move(new: Any, old: Any) -> Any:
    """The old array, on the host if it is bound to other devices than the new one; that may be bound to none, as a count."""
    if isinstance(new, Tracer) or isinstance(old, Tracer) or not isinstance(old, jax.Array) or not old.committed:
        return old
    together = new.committed and new.sharding.device_set == old.sharding.device_set
    return old if together else jax.device_get(old)


def _dtype(array: Any) -> Any:
    return array.dtype if hasattr(array, "dtype") else jnp.result_type(array)


def _converts(old: Any, new: Any) -> bool:
    """Whether numbers of one dtype can be written in another: precision may be lost, but no fraction and no imaginary part."""
    keys = [jnp.issubdtype(dtype, jax.dtypes.prng_key) for dtype in (old, new)]
    return old == new if any(keys) else not truncates(old, new)
