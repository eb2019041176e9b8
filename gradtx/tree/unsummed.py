"""Arrays whose sum over devices is still to be taken: on explicit meshes their type says it (`unreduced`).

Of such an array each device has a term. They can be added and scaled; whatever is not linear needs the sum first.
"""

from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec, reshard


def axes_to_sum(x: Any) -> frozenset[str]:
    """Return the axes of the mesh along which an array is still to be summed."""
    return _along(x, "unreduced")


def awaits_sums(tree: Any) -> bool:
    """Return whether something in a tree is still to be summed."""
    return any(map(axes_to_sum, jax.tree.leaves(tree)))


def summed(x: jax.Array) -> jax.Array:
    """Return the sum, split as the terms are."""
    return reshard(x, _with(x)) if axes_to_sum(x) else x


def as_term_like(model: Any, x: jax.Array) -> jax.Array:
    """Return an array that is to be summed along the same axes as `model`, with the sum `x`: nothing is sent for it."""
    axes = axes_to_sum(model)
    return x if axes_to_sum(x) == axes else reshard(summed(x), _with(x, unreduced=axes))


def scaled(x: jax.Array, factor: jax.Array) -> jax.Array:
    """Return `factor` times an array, which may still be summed."""
    factor = factor.astype(x.dtype)
    axes = axes_to_sum(x)
    return x * (reshard(factor, NamedSharding(jax.typeof(x).sharding.mesh, PartitionSpec(reduced=axes))) if axes else factor)


def zeros_of_gradient(param: Any, zeros: jax.Array) -> jax.Array:
    """Return zeros with the type of a parameter's gradient: where the parameter is `reduced`, that is to be summed."""
    axes = _along(param, "reduced")
    return reshard(zeros, _with(zeros, unreduced=axes)) if axes else zeros


def without_promise(param: Any) -> Any:
    """Return a parameter whose gradient is whole: one that is `reduced`, as any other."""
    return reshard(param, _with(param)) if _along(param, "reduced") else param


def _along(x: Any, kind: str) -> frozenset[str]:
    return frozenset(getattr(jax.typeof(x).sharding.spec, kind, ())) if isinstance(x, jax.Array) else frozenset()


def _with(x: Any, **kinds: frozenset[str]) -> NamedSharding:
    sharding = jax.typeof(x).sharding
    return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec.partitions, **kinds))
