"""Whether there is an inf or a NaN in a tree."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.tree.norms import AxisName


def all_finite(tree: Any, *, axis_name: AxisName | None = None) -> jax.Array:
    """Return whether no entry of a tree is an inf or a NaN; integers never are.

    Args:
      tree: a tree of arrays.
      axis_name: axes of a mesh (or of `pmap`) to reduce over. Within `shard_map`, where a device sees its own part only, all
        devices then have the same answer.
    """
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(jnp.result_type(x), jnp.inexact)]
    finite = functools.reduce(lax.bitwise_and, [_all_finite(x) for x in floats], jnp.ones((), bool))
    return lax.pmin(finite.astype(jnp.int32), axis_name) > 0 if axis_name else finite


@jax.jit  # so that leaves of one shape are traced once
def _all_finite(x: Any) -> jax.Array:
    return jnp.all(jnp.isfinite(x))
