"""Dtypes of trees."""

import functools
from collections.abc import Iterable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from gradtx.tree.holes import map_arrays

_Tree = TypeVar("_Tree")


def cast(tree: _Tree, dtype: Any) -> _Tree:
    """Return the tree with every leaf in `dtype`; None changes nothing."""
    return tree if dtype is None else map_arrays(lambda x: jnp.asarray(x).astype(dtype), tree)


def cast_like(tree: _Tree, other_tree: Any) -> _Tree:
    """Return the tree with every leaf in the dtype of its counterpart in `other_tree`."""
    return map_arrays(lambda x, like: jnp.asarray(x).astype(jnp.result_type(like)), tree, other_tree)


def dtype(tree: Any, mixed_dtype_handler: str | None = None) -> Any:
    """Return the dtype of a tree, the default floating-point dtype if it is empty.

    Args:
      tree: a tree of arrays.
      mixed_dtype_handler: what to return where leaves have several dtypes: "promote", the dtype they promote to; "highest"
        or "lowest", the one of theirs that all others promote to, or that promotes to all others; None, an error.

    Raises:
      ValueError: leaves have several dtypes and the handler is None, or no dtype is the highest or the lowest.
    """
    if mixed_dtype_handler not in (None, "promote", "highest", "lowest"):
        raise ValueError(
            f'dtype: mixed_dtype_handler must be None, "promote", "highest" or "lowest", got {mixed_dtype_handler!r}.'
        )
    first = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        first.setdefault(jnp.result_type(leaf), jax.tree_util.keystr(path))
    dtypes = list(first) or [jnp.result_type(float)]
    if len(dtypes) == 1:
        return dtypes[0]
    if mixed_dtype_handler == "promote":
        return functools.reduce(_promoted, dtypes)
    listed = ", ".join(f"{dtype} at {first[dtype]}" for dtype in dtypes)
    if mixed_dtype_handler is None:
        raise ValueError(f'dtype: leaves have several dtypes, {listed}; choose one with "promote", "highest" or "lowest".')
    for one in dtypes:
        if all(_promoted(one, other) == (one if mixed_dtype_handler == "highest" else other) for other in dtypes):
            return one
    raise ValueError(f"dtype: leaves have several dtypes, {listed}; none of them is the {mixed_dtype_handler}.")


def at_least_float32(dtype: Any) -> Any:
    """Return a floating-point or complex dtype, or float32 instead of a narrower one."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def widened(x: Any) -> jax.Array:
    """Return `x` in float32 if its dtype is a narrower float, and else as it is."""
    x = jnp.asarray(x)
    narrow = jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits < 32
    return x.astype(jnp.float32) if narrow else x


def working_dtype(arrays: Iterable[Any]) -> Any:
    """Return the dtype to compute with arrays or numbers in: float64 if one of them has that precision, else float32."""
    dtypes = {jnp.result_type(x) for x in arrays}
    double = any(jnp.issubdtype(dtype, jnp.inexact) and jnp.finfo(dtype).bits == 64 for dtype in dtypes)
    return jnp.float64 if double else jnp.float32


def truncates(new: Any, old: Any) -> bool:
    """Whether the dtype `old` has no place for numbers of the kind of `new`, as integers have none for a fraction."""
    kinds = (jnp.inexact, jnp.complexfloating)
    return any(jnp.issubdtype(new, kind) and not jnp.issubdtype(old, kind) for kind in kinds)


def _promoted(one: Any, other: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(one, other)
