"""Trees that are differentiated in their own way."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp

_Tree = TypeVar("_Tree")


def scale_gradient(inputs: _Tree, scale: Any) -> _Tree:
    """Return the tree as it is, with its derivative multiplied by `scale`: 0 stops the gradient, −1 turns it.

    Args:
      inputs: a tree of arrays.
      scale: a number, which may be traced: one that changes from step to step.
    """
    return _scale_gradient(*jax.tree.map(jnp.asarray, (inputs, scale)))


@jax.custom_jvp
def _scale_gradient(inputs: Any, scale: jax.Array) -> Any:
    return inputs


@_scale_gradient.defjvp
def _scale_gradient_jvp(primals: tuple[Any, jax.Array], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    inputs, scale = primals
    changes = jax.tree.map(lambda t: t if t.dtype == jax.dtypes.float0 else t * scale.astype(t.dtype), tangents[0])
    return _scale_gradient(inputs, scale), changes  # not `inputs`, whose own derivative is not scaled
