"""Random numbers by hashing: functions of an index or of a number, cheaper than a generator, the same on any device."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.tree.layout import reshard_like


def mixed(x: jax.Array) -> jax.Array:
    """Return a hash of each uint32, whose every bit depends on all bits of `x`.

    References:
      Wellons, Prospecting for Hash Functions, 2018 ("lowbias32"), https://nullprogram.com/blog/2018/07/31/
    """
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def die_like(model: jax.Array, seeds: jax.Array) -> jax.Array:
    """Return numbers uniform in [0, 1), one for each entry of an array, split among devices as it is.

    Args:
      model: an array.
      seeds: two random uint32.
    """
    strides = [math.prod(model.shape[axis + 1 :]) for axis in range(model.ndim)]
    index = jnp.zeros(model.shape, jnp.uint32)
    for axis, stride in enumerate(strides):
        index += lax.broadcasted_iota(jnp.uint32, model.shape, axis) * jnp.uint32(stride % 2**32)
    return unit_interval(mixed(mixed(reshard_like(model, index) + seeds[0]) ^ seeds[1]))


def unit_interval(bits: jax.Array) -> jax.Array:
    """Return random uint32 as float32 numbers in [0, 1): the upper 24 bits, as many as these numbers have."""
    return (bits >> 8).astype(jnp.float32) * 2.0**-24
