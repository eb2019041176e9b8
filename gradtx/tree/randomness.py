"""Random trees and trees of random keys."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.tree.layout import placed_like


def split_key_like(rng_key: jax.Array, target_tree: Any) -> Any:
    """Return a tree like `target_tree` with a key for each leaf."""
    structure = jax.tree.structure(target_tree)
    return structure.unflatten(list(jax.random.split(rng_key, structure.num_leaves)))


def random_like(
    rng_key: jax.Array, target_tree: Any, sampler: Callable[..., jax.Array] = jax.random.normal, dtype: Any = None
) -> Any:
    """Return a random tree like `target_tree`, each leaf drawn with a key of its own.

    Args:
      rng_key: a key of `jax.random`.
      target_tree: a tree of arrays; the result has their shapes and shardings.
      sampler: a function of a key, a shape and a dtype, such as those of `jax.random`.
      dtype: of the result; by default each leaf's own.
    """
    takes_sharding = "out_sharding" in inspect.signature(sampler).parameters

    def draw(key: jax.Array, leaf: Any) -> jax.Array:
        sharding = {"out_sharding": jax.typeof(leaf).sharding} if takes_sharding else {}
        return placed_like(leaf, sampler(key, jnp.shape(leaf), dtype or jnp.result_type(leaf), **sharding))

    return jax.tree.map(draw, split_key_like(rng_key, target_tree), target_tree)


def unwrap_random_key_data(input_tree: Any) -> Any:
    """Return the tree with new-style keys as the integers they stand for, which any checkpoint can hold."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, input_tree)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
