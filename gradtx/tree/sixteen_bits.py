"""16-bit floats and the float32 numbers that they are roundings of."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.errors import unnamed
from gradtx.tree import mismatch
from gradtx.tree.dtypes import widened
from gradtx.tree.holes import map_leaves

_MAGNITUDE = 0x7FFFFFFF
_LARGEST = 0x7F7FFFFF  # the magnitude of the largest finite float32
_EXPONENT_BIAS = 127
_LEAST_EXPONENT = -14  # of a float16; below, its steps are even


def has_sixteen_bits(x: Any) -> bool:
    """Return whether an array is of bfloat16 or float16."""
    return is_sixteen_bits(jnp.result_type(x))


def is_sixteen_bits(dtype: Any) -> bool:
    """Return whether a dtype is bfloat16 or float16."""
    return jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits == 16


def refuse_wide(params: Any) -> None:
    """Raise `ValueError` if there are parameters, and none has 16 bits."""
    dtypes = {str(jnp.result_type(p)) for p in jax.tree.leaves(params)}
    if dtypes and not any(map(has_sixteen_bits, jax.tree.leaves(params))):
        raise unnamed(
            ValueError, f"no parameter has 16 bits, but {' and '.join(sorted(dtypes))}: there is nothing to make up for."
        )


def widened_updates(updates: Any, params: Any) -> Any:
    """Return the updates of 16-bit parameters in float32, and the others as they are."""
    with mismatch.explaining(g=updates, p=params):
        return map_leaves(lambda g, p: widened(g) if has_sixteen_bits(p) else g, updates, params)


@jax.custom_jvp
def joined(p: jax.Array, low: jax.Array) -> jax.Array:
    """Return the float32 number of which `p` is the rounding, and `low` the low bits.

    Of a bfloat16, `low` counts how many float32 numbers the result is further from 0: an integer that is added to the bits of
    a float counts floats, across powers of 2, too. Of a float16, whose smallest steps are even, it counts parts of its last
    digit.

    Args:
      p: an array of bfloat16 or float16.
      low: an array of int16, or of int8 in units of 256; see `low_bits_of`.
    """
    wide, low = widened(p), low.astype(jnp.int32) * _unit(low.dtype)
    further = _further(wide, low) if p.dtype == jnp.bfloat16 else wide + low.astype(jnp.float32) * _part_of_digit(wide)
    return jnp.where(jnp.isfinite(wide), further, wide)


@joined.defjvp
def _joined_jvp(primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, Any]) -> tuple[jax.Array, jax.Array]:
    return joined(*primals), widened(tangents[0])  # bits have no derivative


def low_bits_of(x: jax.Array, p: jax.Array, dtype: Any) -> jax.Array:
    """Return `low` of `joined` for a float32 `x` and its rounding `p`, 0 where that is not finite.

    A tie that was rounded towards 0 is one more than an int16 holds: it becomes the number just below the tie.

    Args:
      x: an array of float32.
      p: `x` in bfloat16 or float16.
      dtype: int16 or int8.
    """
    unit, limits = _unit(dtype), jnp.iinfo(dtype)
    if p.dtype == jnp.bfloat16:
        low = _magnitude(x) - _magnitude(widened(p))
        low = (low + unit // 2) // unit
    else:
        low = jnp.round((x - widened(p)) / (_part_of_digit(widened(p)) * unit))
    # Of int8 the least would be the tie itself, which may round to the other side.
    low = jnp.clip(low, limits.min + (unit > 1), limits.max)
    return jnp.where(jnp.isfinite(p), low, 0).astype(dtype)


def step_to(wanted: jax.Array, p: jax.Array) -> jax.Array:
    """Return the float32 update u for which `apply_updates` makes of the 16-bit `p` the number `wanted`, of its dtype or wider.

    p + u is exact in float32 unless p is far larger than `wanted`: 2¹⁶ times in bfloat16, 2¹³ times in float16.
    """
    return widened(wanted) - widened(p)


def rounded_at_random(x: jax.Array, dtype: Any, die: jax.Array) -> jax.Array:
    """Return a float32 `x` rounded to one of its two neighbours of a 16-bit dtype, so that the mean is `x`; in float32.

    Args:
      x: an array of float32.
      dtype: a 16-bit dtype.
      die: uniform in [0, 1), of the shape of `x`.
    """
    nearest = x.astype(dtype)
    distance = lax.stop_gradient(x - widened(nearest))
    towards = jnp.where(distance > 0, jnp.inf, -jnp.inf).astype(dtype)
    to_other = widened(jnp.nextafter(lax.stop_gradient(nearest), towards)) - widened(lax.stop_gradient(nearest))
    is_other = (die * jnp.abs(to_other) < jnp.abs(distance)) & jnp.isfinite(to_other)
    return widened(nearest) + jnp.where(is_other, to_other, 0)


def _further(x: jax.Array, count: jax.Array) -> jax.Array:
    """The float32 number `count` numbers further from 0; where `x` was set to 0 meanwhile, the sign does not turn."""
    sign = lax.bitcast_convert_type(x, jnp.int32) & ~_MAGNITUDE
    return lax.bitcast_convert_type(jnp.clip(_magnitude(x) + count, 0, _LARGEST) | sign, jnp.float32)


def _magnitude(x: jax.Array) -> jax.Array:
    """The bits of a float32 without its sign."""
    return lax.bitcast_convert_type(x, jnp.int32) & _MAGNITUDE


def _part_of_digit(x: jax.Array) -> jax.Array:
    """2⁻¹⁶ of the step between the float16 `x`, given in float32, and the next one: 2⁻²⁶ of its power of 2."""
    exponent = jnp.maximum((_magnitude(x) >> 23) - _EXPONENT_BIAS, _LEAST_EXPONENT) - 26
    return lax.bitcast_convert_type((exponent + _EXPONENT_BIAS) << 23, jnp.float32)


def _unit(dtype: Any) -> int:
    return 2 ** (16 - jnp.iinfo(dtype).bits)
