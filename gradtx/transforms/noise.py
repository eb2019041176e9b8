"""Gradient noise (Neelakantan et al. 2015)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import GradientTransformation, Params, Updates, factory
from gradtx.numerics import Count, safe_increment
from gradtx.tree import mismatch
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.randomness import as_key, one_key, split_key


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

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

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
