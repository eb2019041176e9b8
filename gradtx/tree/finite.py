"""Whether there is an inf or a NaN in a tree."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.tree.norms import AxisName
from gradtx.tree.scopes import combined, split_of


def all_finite(tree: Any, *, axis_name: AxisName | None = None) -> jax.Array:
    """Return whether no entry of a tree is an inf or a NaN; integers never are.

    Args:
      tree: a tree of arrays.
      axis_name: axes of a mesh (or of `pmap`) to reduce over. Within `shard_map`, where a device sees its own part only, all
        devices then have the same answer.
    """
    finite = jax.tree.map(lambda x: _all_finite(x) if jnp.issubdtype(jnp.result_type(x), jnp.inexact) else None, tree)
    each = combined(jax.tree.leaves(finite), split_of(finite), _of_all, lax.bitwise_and)
    result = functools.reduce(lax.bitwise_and, each, jnp.ones((), bool))
    return _of_all(result, axis_name) if axis_name else result


def _of_all(finite: jax.Array, axis_name: AxisName) -> jax.Array:
    return lax.pmin(finite.astype(jnp.int32), axis_name) > 0


@jax.jit  # so that leaves of one shape are traced once
def _all_finite(x: Any) -> jax.Array:
    return jnp.all(jnp.isfinite(x))
