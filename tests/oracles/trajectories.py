"""Run an optimizer for a few steps, with the same gradients every time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

STEPS = 25


def params(dtype: Any = jnp.float64) -> dict[str, Any]:
    """A tree with a scalar, a vector, a matrix, an empty array and a hole."""
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"scalar": (), "vector": (5,), "matrix": (3, 4), "empty": (0, 2)}
    arrays = {name: jnp.asarray(random.normal(size=shape), dtype) for name, shape in shapes.items()}
    return {**arrays, "hole": None}


def gradients(like: Any, step: int, scale: float = 1.0) -> Any:
    """Gradients that drift, so that moments matter, with a coordinate that is zero at every other step."""
    random = np.random.default_rng(step + 1)

    def gradient(p: jax.Array) -> jax.Array:
        g = np.sin(0.3 * step) + random.normal(size=p.shape)
        g = g * (np.arange(g.size).reshape(g.shape) % 3 != step % 2)
        return jnp.asarray(scale * g, p.dtype)

    return jax.tree.map(gradient, like)


def run(tx: Any, start: Any, steps: int = STEPS, scale: float = 1.0, **extra_args: Any) -> tuple[list[Any], Any]:
    """Return the parameters after every step, and the last state."""

    @jax.jit
    def step(p: Any, state: Any, g: Any) -> tuple[Any, Any]:
        updates, state = tx.update(g, state, p, **extra_args)
        return jax.tree.map(lambda p, u: p + u, p, updates), state

    path, state = [start], tx.init(start)
    for t in range(steps):
        p, state = step(path[-1], state, gradients(start, t, scale))
        path.append(p)
    return path, state
