"""Nearest points of simple sets: for a tree x, the y in the set with the least ‖x − y‖.

A tree counts as one vector of all its numbers. Each leaf keeps its shape and its dtype, and
scalars are computed in float32 or wider. Projections are differentiable wherever they are smooth, and finite everywhere.
To keep parameters in a set, project them after each step: `params = projection_simplex(apply_updates(params, updates))`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx import tree as trees
from gradtx.core import keeps_contract
from gradtx.tree.dtypes import working_dtype


def projection_non_negative(tree: Any) -> Any:
    """Return the nearest tree without negative entries, max(x, 0)."""
    return _on_leaves(lambda x: jnp.maximum(x, 0), tree)


def projection_box(tree: Any, lower: Any, upper: Any) -> Any:
    """Return the nearest tree between two bounds, entry by entry.

    Args:
      tree: x.
      lower, upper: numbers, or trees like x or broadcast to it.
    """
    return _on_leaves(jnp.clip, tree, _bound(lower, tree), _bound(upper, tree))


def projection_hypercube(tree: Any, scale: Any = 1) -> Any:
    """Return the nearest tree with all entries in [0, scale].

    Args:
      tree: x.
      scale: a number, or a tree like x or broadcast to it.
    """
    return projection_box(tree, 0, scale)


def projection_linf_ball(tree: Any, scale: Any = 1) -> Any:
    """Return the nearest tree with all entries in [−scale, scale].

    Args:
      tree: x.
      scale: a number, or a tree like x or broadcast to it.
    """
    return projection_box(tree, jax.tree.map(jnp.negative, scale), scale)


@keeps_contract(scale=require.NONNEGATIVE)
def projection_l2_ball(tree: Any, scale: float | jax.Array = 1) -> Any:
    """Return the nearest tree with ‖y‖₂ ≤ scale, x·min(1, scale/‖x‖₂).

    Args:
      tree: x.
      scale: the radius, at least 0.
    """
    norm = trees.norm(tree)
    outside = norm > scale
    factor = jnp.where(outside, scale / jnp.where(outside, norm, 1), 1)
    return _on_leaves(lambda x: _as(x, factor) * x, tree)


@keeps_contract(scale=require.NONNEGATIVE)
def projection_l2_sphere(tree: Any, scale: float | jax.Array = 1) -> Any:
    """Return the nearest tree with ‖y‖₂ = scale, x·scale/‖x‖₂.

    All of the sphere is equally near to 0; there, the point with equal entries is returned.

    Args:
      tree: x.
      scale: the radius, at least 0.
    """
    norm = trees.norm(tree)
    centre = norm == 0
    factor = scale / jnp.where(centre, 1, norm)
    equal = scale / max(trees.size(tree), 1) ** 0.5
    return _on_leaves(lambda x: jnp.where(centre, _as(x, equal), _as(x, factor) * x), tree)


@keeps_contract(scale=require.NONNEGATIVE)
def projection_simplex(tree: Any, scale: float | jax.Array = 1) -> Any:
    """Return the nearest tree without negative entries whose sum is `scale`: max(x − τ, 0), τ from the sorted entries.

    With scale 1 this is sparsemax, the nearest distribution.

    Args:
      tree: x, of real numbers.
      scale: the sum, at least 0.

    References:
      Duchi et al., Efficient Projections onto the l1-Ball for Learning in High Dimensions, 2008,
        https://doi.org/10.1145/1390156.1390191
    """
    if not trees.size(tree):
        return tree
    # The largest entry is taken off first: far from 0, sums would have no digits left for the differences.
    largest = jax.lax.stop_gradient(trees.max(tree))
    centered = _on_leaves(lambda x: x - _as(x, largest), trees.cast(tree, working_dtype(jax.tree.leaves(tree))))
    threshold = _threshold(centered, scale)
    projected = _on_leaves(lambda x: _positive_part(x - _as(x, threshold)), centered)
    return trees.cast_like(projected, tree)


@keeps_contract(scale=require.NONNEGATIVE)
def projection_l1_sphere(tree: Any, scale: float | jax.Array = 1) -> Any:
    """Return a nearest tree with ‖y‖₁ = scale: the moduli are projected on the simplex.

    Where an entry that is 0 has to move, either sign is as near; it becomes positive.

    Args:
      tree: x.
      scale: the radius, at least 0.

    References:
      Duchi et al., 2008, https://doi.org/10.1145/1390156.1390191
    """
    moduli = projection_simplex(trees.map_leaves(jnp.abs, tree), scale)
    return _on_leaves(lambda x, modulus: modulus * jnp.where(x == 0, 1, jnp.sign(x)), tree, moduli)


@keeps_contract(scale=require.NONNEGATIVE)
def projection_l1_ball(tree: Any, scale: float | jax.Array = 1) -> Any:
    """Return the nearest tree with ‖y‖₁ ≤ scale; many of its entries are 0.

    Args:
      tree: x.
      scale: the radius, at least 0.

    References:
      Duchi et al., 2008, https://doi.org/10.1145/1390156.1390191
    """
    inside = trees.norm(tree, ord=1) <= scale
    return trees.where(inside, trees.map_leaves(jnp.asarray, tree), projection_l1_sphere(tree, scale))


def projection_vector(x: Any, a: Any) -> Any:
    """Return the nearest multiple of a tree, a·⟨a, x⟩/⟨a, a⟩; 0 if a is 0.

    Args:
      x: a tree.
      a: a tree like it.
    """
    factor = _quotient(trees.vdot(a, x), a)
    return _on_leaves(lambda x, a: _as(a, factor) * a, x, a)


def projection_hyperplane(x: Any, a: Any, b: Any) -> Any:
    """Return the nearest tree with ⟨a, y⟩ = b; x if a is 0.

    Args:
      x: a tree.
      a: a tree like it, the normal.
      b: a number.
    """
    factor = _quotient(trees.vdot(a, x) - b, a)
    return _on_leaves(lambda x, a: x - _as(a, factor) * a, x, a)


def projection_halfspace(x: Any, a: Any, b: Any) -> Any:
    """Return the nearest tree with ⟨a, y⟩ ≤ b; x if a is 0.

    Args:
      x: a tree of real numbers.
      a: a tree like it, the normal.
      b: a number.
    """
    factor = _quotient(jnp.maximum(trees.vdot(a, x) - b, 0), a)
    return _on_leaves(lambda x, a: x - _as(a, factor) * a, x, a)


def _threshold(tree: Any, scale: Any) -> jax.Array:
    """τ such that Σ max(x − τ, 0) = scale."""
    x = jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])
    descending = -jnp.sort(-x)
    ranks = jnp.arange(1, x.size + 1).astype(x.dtype)
    thresholds = (jnp.cumsum(descending) - jnp.asarray(scale, x.dtype)) / ranks
    last = jnp.sum(descending > thresholds) - 1  # the smallest entry that stays positive
    return thresholds[jnp.maximum(last, 0)]


def _positive_part(x: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, 0)


def _quotient(numerator: jax.Array, a: Any) -> jax.Array:
    """`numerator`/⟨a, a⟩, or 0."""
    square = trees.vdot(a, a)
    return jnp.where(square == 0, 0, numerator / jnp.where(square == 0, 1, square))


def _bound(bound: Any, tree: Any) -> Any:
    """A tree of bounds: one number is the bound of every leaf."""
    return trees.map_leaves(lambda x: bound, tree) if jax.tree_util.all_leaves([bound]) else bound


def _on_leaves(f: Callable[..., jax.Array], tree: Any, *rest: Any) -> Any:
    """Apply `f` to leaves in float32 or wider; each result has the dtype of its leaf in `tree`."""

    def on_leaf(x: Any, *others: Any) -> jax.Array:
        x = jnp.asarray(x)
        wide = x.astype(working_dtype([x])) if jnp.issubdtype(x.dtype, jnp.floating) else x
        return f(wide, *(_as(wide, other) for other in others)).astype(x.dtype)

    return trees.map_leaves(on_leaf, tree, *rest)


def _as(x: jax.Array, scalar: Any) -> jax.Array:
    return jnp.asarray(scalar).astype(x.dtype)
