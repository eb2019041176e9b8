"""Random trees and trees of random keys."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.tree.layout import placed_like
from gradtx.tree.scopes import is_key, own_key, places_of


def split_key_like(rng_key: jax.Array, target_tree: Any) -> Any:
    """Return a tree like `target_tree` with a key for each leaf; within `per_shard`, one for each part of a leaf."""
    structure, places = jax.tree.structure(target_tree), places_of(target_tree)
    keys = list(jax.random.split(rng_key, structure.num_leaves))
    return structure.unflatten(keys if places is None else map(own_key, keys, places))


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
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, input_tree)


def one_key(owner: str, key: jax.Array | int | None, seed: int | None, default: int | None = None) -> jax.Array | int:
    """Return the one of `key` and `seed` that is given, or else `default`; raise `ValueError` if none is or both are."""
    if key is not None and seed is not None:
        raise ValueError(f"{owner}: seed is another word for key; give one of the two.")
    given = next((each for each in (key, seed, default) if each is not None), None)
    if given is None:
        raise ValueError(f"{owner} needs a key for its random numbers: {owner}(..., key=0).")
    return given


def as_key(key: jax.Array | int) -> jax.Array:
    """The integers of a key, made from a number or given: what a state keeps of it, which every serializer can write."""
    if isinstance(key, int) or not (is_key(key) or key.ndim):
        key = jax.random.key(key)
    # A copy: a state shares no buffer with what its user holds.
    return jnp.copy(jax.random.key_data(key) if is_key(key) else key)


def split_key(rng_key: jax.Array, start: jax.Array | int, number: int = 2) -> tuple[jax.Array, list[jax.Array]]:
    """Return the key that a state keeps next, and the others to draw with.

    Args:
      rng_key: the key in the state: integers, or a typed key, as older states and those of Optax have.
      start: the key that the state began with, which says what kind of key the integers are.
      number: how many there are in all.
    """
    next_key, *others = jax.random.split(_typed(rng_key, start), number)
    return next_key if is_key(rng_key) else jax.random.key_data(next_key), others


def folded_key(rng_key: jax.Array, start: jax.Array | int, number: jax.Array) -> jax.Array:
    """Return the key to draw with for a number, of a key that the state keeps for good; see `split_key`."""
    return jax.random.fold_in(_typed(rng_key, start), number)


def _typed(rng_key: jax.Array, start: jax.Array | int) -> jax.Array:
    impl = jax.random.key_impl(start) if isinstance(start, jax.Array) and is_key(start) else None
    return rng_key if is_key(rng_key) else jax.random.wrap_key_data(rng_key, impl=impl)
