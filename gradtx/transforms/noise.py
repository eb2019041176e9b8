"""Gradient noise (Neelakantan et al. 2015)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import GradientTransformation, Params, Updates, factory
from gradtx.numerics import Count, safe_increment
from gradtx.tree import mismatch
from gradtx.tree.dtypes import at_least_float32


class AddNoiseState(NamedTuple):
    """Steps taken, key of the next noise: its integers, or in states of Optax a typed key."""

    count: Count
    rng_key: jax.Array


@factory
def add_noise(
    eta: float, gamma: float, key: jax.Array | int | None = None, *, seed: int | None = None
) -> GradientTransformation:
    """Add Gaussian noise that fades as training goes on.

        u = g + N(0, σ²),   σ² = eta / t^gamma

    The noise is drawn in float32 or wider, with the real and the imaginary part of a complex gradient sharing its variance.

    Args:
      eta: variance of the noise at the first step.
      gamma: power at which it fades.
      key: key of the random numbers, or the number to make it from; 0 by default, so that each run draws the same.
      seed: another word for `key`, a number.

    Raises:
      ValueError: both `key` and `seed` are given.

    References:
      Neelakantan et al., Adding Gradient Noise Improves Learning for Very Deep Networks, 2015,
        https://arxiv.org/abs/1511.06807
    """
    start = one_key("add_noise", key, seed, default=0)

    @tree.lift
    def rule(g, noise, *, deviation):
        return g + deviation * noise

    def init(params: Params) -> AddNoiseState:
        mismatch.check_params(params)
        return AddNoiseState(jnp.zeros((), jnp.int32), as_key(start))

    def update(updates: Updates, state: AddNoiseState, params: Params | None = None):
        count = safe_increment(state.count)
        next_key, [key] = split_key(state.rng_key, start)
        deviation = jnp.sqrt(eta / count.astype(float) ** gamma)
        with mismatch.explaining(g=updates):
            noise = tree.random_like(key, updates, _normal)
        updates = rule(updates, noise, deviation=deviation)
        return updates, AddNoiseState(count, next_key)

    return GradientTransformation(init, update)


def _normal(key: jax.Array, shape: tuple[int, ...], dtype: Any, out_sharding: Any = None) -> jax.Array:
    return jax.random.normal(key, shape, at_least_float32(dtype), out_sharding=out_sharding)


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
    if isinstance(key, int) or not (_is_typed(key) or key.ndim):
        key = jax.random.key(key)
    # A copy: a state shares no buffer with what its user holds.
    return jnp.copy(jax.random.key_data(key) if _is_typed(key) else key)


def split_key(rng_key: jax.Array, start: jax.Array | int, number: int = 2) -> tuple[jax.Array, list[jax.Array]]:
    """Return the key that a state keeps next, and the others to draw with.

    Args:
      rng_key: the key in the state: integers, or a typed key, as older states and those of Optax have.
      start: the key that the state began with, which says what kind of key the integers are.
      number: how many there are in all.
    """
    impl = jax.random.key_impl(start) if isinstance(start, jax.Array) and _is_typed(start) else None
    key = rng_key if _is_typed(rng_key) else jax.random.wrap_key_data(rng_key, impl=impl)
    next_key, *others = jax.random.split(key, number)
    return next_key if _is_typed(rng_key) else jax.random.key_data(next_key), others


def _is_typed(key: jax.Array) -> bool:
    return jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
