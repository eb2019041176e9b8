"""Lower bounds that hold in mathematics, and in floating point too."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

# 1/k! down to 1/2: below 1 in size, what follows in the series is less than the rounding of float64.
_COEFFICIENTS = [1 / math.factorial(k) for k in range(19, 1, -1)]


def nonnegative(x: jax.Array, rounding: Any = jnp.inf) -> jax.Array:
    """Return `x`, and 0 for a value from −rounding to 0; derivatives are those of `x`, as if the value were exact."""
    return jnp.where((x < 0) & (x >= -rounding), x - jax.lax.stop_gradient(x), x)


def exp_excess(x: jax.Array) -> jax.Array:
    """Return exp(x) − 1 − x, at least 0 and exact to rounding, also near 0 where both parts cancel."""
    near = jnp.clip(x, -1, 1)
    series = functools.reduce(lambda total, c: total * near + c, _COEFFICIENTS, jnp.zeros_like(near))
    return jnp.where(jnp.abs(x) < 1, jnp.square(near) * series, jnp.exp(x) - 1 - x)
