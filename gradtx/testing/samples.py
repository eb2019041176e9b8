"""Parameters and gradients to try a transformation on."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.core import Params, Updates


def sample_params() -> Params:
    """Return a small tree with what goes wrong elsewhere: a scalar, a vector, a matrix, an empty array."""
    return {
        "scalar": jnp.asarray(0.5, jnp.float32),
        "vector": jnp.asarray([1.0, -2.0, 0.0, 0.5], jnp.float32),
        "matrix": jnp.asarray(np.linspace(-1, 1, 12).reshape(4, 3), jnp.float32),
        "empty": jnp.zeros((0, 3), jnp.float32),
    }


def gradients_like(params: Params, step: int = 0) -> Updates:
    """Return gradients of both signs around 1, others at every step, always the same."""

    def gradient(p: Any) -> jax.Array:
        angles = 0.7 + 2.3 * step + 1.7 * np.arange(np.size(p)).reshape(np.shape(p))
        values = np.cos(angles) + 1j * np.sin(angles) if jnp.iscomplexobj(p) else np.cos(angles)
        return jnp.asarray(values, p.dtype)

    return jax.tree.map(gradient, params)


def around(params: Params, value: float) -> Updates:
    """Return gradients between `value / 2` and `value`, of both signs."""
    signs_and_sizes = cast(gradients_like(params), jnp.float32)
    return jax.tree.map(lambda g, p: (value * (g + jnp.sign(g)) / 2).astype(p.dtype), signs_and_sizes, params)


def cast(params: Params, dtype: Any) -> Params:
    """Return `params` with its real floating-point leaves in `dtype`."""
    return jax.tree.map(lambda p: p.astype(dtype) if jnp.issubdtype(p.dtype, jnp.floating) else p, params)


def shapes_of(tree: Any) -> Any:
    """Return the shapes and dtypes of a tree of arrays."""
    return jax.eval_shape(lambda: tree)
