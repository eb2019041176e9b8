"""Arithmetic on trees, leaf by leaf, and reductions over all leaves.

Some names hide Python's own within this module: `builtins` has those.
"""

import builtins
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx.numerics import extremum
from gradtx.tree.dtypes import widened
from gradtx.tree.holes import is_hole, map_leaves
from gradtx.tree.scopes import MeshAxes, combined, devices_along, largest_of_devices, smallest_of_devices, split_of

_Tree = TypeVar("_Tree")


def add(tree_x: _Tree, tree_y: Any, *other_trees: Any) -> _Tree:
    """Return the sum of two or more trees, x + y + ..."""
    return map_leaves(lambda *leaves: functools.reduce(jnp.add, leaves), tree_x, tree_y, *other_trees)


def sub(tree_x: _Tree, tree_y: Any) -> _Tree:
    """Return x − y."""
    return map_leaves(jnp.subtract, tree_x, tree_y)


def mul(tree_x: _Tree, tree_y: Any) -> _Tree:
    """Return x·y, entry by entry."""
    return map_leaves(jnp.multiply, tree_x, tree_y)


def div(tree_x: _Tree, tree_y: Any) -> _Tree:
    """Return x/y, entry by entry."""
    return map_leaves(jnp.divide, tree_x, tree_y)


def scale(scalar: Any, tree: _Tree) -> _Tree:
    """Return `scalar`·x."""
    return map_leaves(lambda x: jnp.multiply(scalar, x), tree)


def add_scale(tree_x: _Tree, scalar: Any, tree_y: Any) -> _Tree:
    """Return x + `scalar`·y."""
    return map_leaves(lambda x, y: jnp.add(x, jnp.multiply(scalar, y)), tree_x, tree_y)


def conj(tree: _Tree) -> _Tree:
    """Return the complex conjugate."""
    return map_leaves(jnp.conj, tree)


def real(tree: _Tree) -> _Tree:
    """Return the real part."""
    return map_leaves(jnp.real, tree)


def clip(tree: _Tree, min_value: Any = None, max_value: Any = None) -> _Tree:
    """Return x with every entry moved into [`min_value`, `max_value`]; None leaves a side open."""
    return map_leaves(lambda x: jnp.clip(x, min_value, max_value), tree)


def where(condition: Any, tree_x: _Tree, tree_y: Any) -> _Tree:
    """Return x where the condition holds, and y elsewhere.

    Args:
      condition: a boolean scalar, or an array that broadcasts with every leaf.
      tree_x: a tree of arrays.
      tree_y: a tree like it.
    """
    return map_leaves(lambda x, y: jnp.where(condition, x, y), tree_x, tree_y)


def sum(tree: Any, associative_reduction: bool = False) -> jax.Array:
    """Return the sum of all entries, floats in float32 or wider; 0 of an empty tree.

    Args:
      tree: a tree of arrays.
      associative_reduction: whether to add the sums of leaves in pairs instead of one after another.
    """
    return _added([jnp.sum(widened(x)) for x in jax.tree.leaves(tree)], split_of(tree), associative_reduction)


def vdot(tree_x: Any, tree_y: Any) -> jax.Array:
    """Return the inner product Σ conj(x)·y, in float32 or wider; 0 of empty trees."""
    # A sum of products, not jnp.vdot: matrix units multiply with few digits unless told otherwise.
    products = _of_each(_inner_product, tree_x, tree_y)
    return _added(jax.tree.leaves(products), split_of(products))


def max(tree: Any) -> jax.Array:
    """Return the largest entry; −inf of an empty tree."""
    return _extremum(jnp.max, jnp.maximum, largest_of_devices, -math.inf, tree)


def min(tree: Any) -> jax.Array:
    """Return the smallest entry; inf of an empty tree."""
    return _extremum(jnp.min, jnp.minimum, smallest_of_devices, math.inf, tree)


def mean(tree: Any) -> jax.Array:
    """Return the mean of all entries, in float32 or wider; NaN of an empty tree."""
    total = sum(tree)
    return total / jnp.asarray(size(tree), total.dtype)


def size(tree: Any) -> int:
    """Return the number of entries."""
    leaves, split = jax.tree.leaves(tree), split_of(tree)
    devices = itertools.repeat(1) if split is None else map(devices_along, split)
    return builtins.sum(math.prod(np.shape(leaf)) * number for leaf, number in zip(leaves, devices, strict=False))


def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> jax.Array:
    """Return whether |a − b| ≤ atol + rtol·|b| for all entries.

    Args:
      a: a tree of arrays.
      b: a tree like it, whose entries are the measure.
      rtol: how far they may be apart, relative to b.
      atol: how far they may be apart in any case.
      equal_nan: whether NaN is close to NaN.
    """
    with jax.numpy_dtype_promotion("standard"):
        close = _of_each(lambda x, y: jnp.allclose(x, y, rtol, atol, equal_nan).astype(jnp.int32), a, b)
    return functools.reduce(lax.min, combined(jax.tree.leaves(close), split_of(close), lax.pmin, lax.min), jnp.int32(1)) > 0


def _of_each(f: Callable[..., jax.Array], tree: Any, *rest: Any) -> Any:
    """A number for each leaf, with all its layers; None instead of a hole."""
    return jax.tree.map(lambda x, *others: None if is_hole(x) else f(x, *others), tree, *rest, is_leaf=is_hole)


@jax.jit
def _inner_product(x: Any, y: Any) -> jax.Array:
    with jax.numpy_dtype_promotion("standard"):
        return jnp.sum(widened(jnp.conj(x)) * widened(y))


def _added(scalars: list[jax.Array], split: list[MeshAxes] | None, in_pairs: bool = False) -> jax.Array:
    if not scalars:
        return jnp.zeros(())
    reduce = jax.tree.reduce_associative if in_pairs else jax.tree.reduce
    with jax.numpy_dtype_promotion("standard"):  # leaves of one tree may have several dtypes
        return reduce(jnp.add, combined(scalars, split, lax.psum, jnp.add))


def _extremum(
    of_array: Callable[[Any], Any],
    of_two: Callable[[Any, Any], Any],
    of_devices: Callable[..., Any],
    of_none: float,
    tree: Any,
) -> jax.Array:
    filled = jax.tree.map(lambda leaf: leaf if np.size(leaf) else None, tree)
    extrema = [extremum(of_array, jnp.asarray(leaf)) for leaf in jax.tree.leaves(filled)]
    if not extrema:
        return jnp.array(of_none)
    with jax.numpy_dtype_promotion("standard"):
        return functools.reduce(of_two, combined(extrema, split_of(filled), of_devices, of_two))
