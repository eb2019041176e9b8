"""A few steps of a transformation, compiled once for all laws of numbers."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.core import Params, Transformation, Updates
from gradtx.testing.compare import by_path, is_key
from gradtx.testing.samples import gradients_like

STEPS = 12


@functools.lru_cache(maxsize=1)  # laws in a row compile the same run
def compiled_run(tx: Transformation) -> Callable[[Updates, Params], tuple[Updates, Any]]:
    """Return a function of gradients, one of each step along the first axis, and of parameters: all updates and states."""

    def run(gradients: Updates, params: Params) -> Any:
        def step(state: Any, g: Any) -> Any:
            updates, state = tx.update(g, state, params)
            return state, (updates, state)

        return jax.lax.scan(step, tx.init(params), gradients)[1]

    return jax.jit(run)


def exact_run(tx: Transformation, gradients: Updates, params: Params) -> tuple[Updates, Any]:
    """Return all updates and states, computed in float64."""
    with jax.enable_x64(True):
        return jax.device_get(compiled_run(tx)(as_float64(gradients), as_float64(params)))


def gradients_of_steps(params: Params) -> Updates:
    """Return gradients around 1 for each step, along a first axis."""
    return jax.tree.map(lambda *each: jnp.stack(each), *(gradients_like(params, k) for k in range(STEPS)))


def as_float64(tree: Any) -> Any:
    """Return a tree with its real numbers in float64; x64 must be enabled."""
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x).astype(float)) if _is_real(x) else x, tree)


def sizes(tree: Any) -> dict[str, np.ndarray]:
    """Return the moduli of the numbers in each floating-point leaf, by path: an array of (steps, entries)."""
    leaves = {path: leaf for path, leaf in by_path(tree).items() if not is_key(leaf) and np.size(leaf)}
    inexact = {path: leaf for path, leaf in leaves.items() if jnp.issubdtype(leaf.dtype, jnp.inexact)}
    return {path: np.abs(_wide(leaf)).reshape(len(leaf), -1) for path, leaf in inexact.items()}


def others(tree: Any) -> dict[str, np.ndarray]:
    """Return the leaves that count or decide, by path."""
    kinds: Sequence[Any] = (jnp.integer, jnp.bool_)
    return {
        path: np.asarray(leaf)
        for path, leaf in by_path(tree).items()
        if not is_key(leaf) and any(jnp.issubdtype(leaf.dtype, kind) for kind in kinds)
    }


def _is_real(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def _wide(x: Any) -> np.ndarray:
    return np.asarray(x).astype(complex if jnp.issubdtype(x.dtype, jnp.complexfloating) else float)
