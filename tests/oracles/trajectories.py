"""Run an optimizer for a few steps, with the same gradients every time."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree
from gradtx.interop.optax import convert_state

STEPS = 25


def params(dtype: Any = jnp.float64) -> dict[str, Any]:
    """A tree with a scalar, a vector, a matrix and a hole."""
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"scalar": (), "vector": (5,), "matrix": (3, 4)}
    arrays = {name: jnp.asarray(random.normal(size=shape), dtype) for name, shape in shapes.items()}
    return {**arrays, "hole": None}


def gradients(like: Any, step: int, scale: float = 1.0) -> Any:
    """Gradients that drift, so that moments matter, with a coordinate that is zero at every other step."""
    leaves, structure = jax.tree.flatten(like)
    arrays = _gradients(tuple(p.shape for p in leaves), step, scale)
    return structure.unflatten([jnp.asarray(g, p.dtype) for g, p in zip(arrays, leaves, strict=True)])


@functools.lru_cache(maxsize=1000)  # two libraries take the same steps
def _gradients(shapes: tuple[tuple[int, ...], ...], step: int, scale: float) -> list[np.ndarray]:
    random = np.random.default_rng(step + 1)
    normal = [np.sin(0.3 * step) + random.normal(size=shape) for shape in shapes]
    return [scale * g * (np.arange(g.size).reshape(g.shape) % 3 != step % 2) for g in normal]


def run(tx: Any, start: Any, steps: int = STEPS, scale: float = 1.0, extra_args: Any = None) -> tuple[list[Any], Any]:
    """Return the parameters after every step, and the last state; `extra_args(params, gradients)` makes those of `update`."""

    @jax.jit
    def step(p: Any, state: Any, g: Any) -> tuple[Any, Any]:
        updates, state = tx.update(g, state, p, **({} if extra_args is None else extra_args(p, g)))
        return jax.tree.map(lambda p, u: p + u, p, updates), state

    path, state = [start], tx.init(start)
    for t in range(steps):
        p, state = step(path[-1], state, gradients(start, t, scale))
        path.append(p)
    return path, state


def assert_moves_as_in_optax(
    ours: Any, theirs: Any, start: Any = None, scale: float = 1.0, extra_args: Any = None, rtol: float = 1e-11
) -> None:
    """Raise unless two transformations give the same trajectory and the same state, Optax's the second.

    Args:
      ours: a transformation, or a function that makes it.
      theirs: a function that makes Optax's (under the promotion that Optax needs).
      start: the parameters; by default `params()`.
      scale: of the gradients.
      extra_args: a function of (params, gradients) that makes the extra arguments of `update`.
      rtol: relative tolerance; larger where Optax computes in float32.
    """
    start = params() if start is None else start
    path, state = run(ours if hasattr(ours, "update") else ours(), start, scale=scale, extra_args=extra_args)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        their_path, their_state = run(theirs(), start, scale=scale, extra_args=extra_args)
    chex.assert_trees_all_close(stacked(path), stacked(their_path), rtol=rtol, atol=rtol / 100)
    state, their_state = map(tree.unwrap_random_key_data, (state, their_state))  # typed keys are of another shape
    if any(leaf.shape == (0, 0) for leaf in jax.tree.leaves(their_state)):
        their_state = convert_state(their_state, like=state)  # gradtx has no empty arrays of its own
    assert fields(state) == fields(their_state)
    leaves, their_leaves = map(jax.tree.leaves, (state, their_state))
    chex.assert_trees_all_close(leaves, their_leaves, rtol=rtol, atol=rtol / 100)


def stacked(path: list[Any]) -> Any:
    """The parameters of all steps, along a first axis. (Some of Optax's turn a scalar into an array of one.)"""
    return jax.tree.map(lambda *steps: np.stack([np.reshape(p, steps[0].shape) for p in steps]), *path)


def fields(state: Any) -> Any:
    """The types and fields that a checkpoint of the state is written by."""
    if isinstance(state, tuple):
        names = getattr(state, "_fields", range(len(state)))
        return type(state).__name__, {name: fields(entry) for name, entry in zip(names, state, strict=True)}
    if isinstance(state, dict):
        return {name: fields(entry) for name, entry in state.items()}
    return None if state is None else (state.shape, str(state.dtype))
