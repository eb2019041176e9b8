"""Compare a transformation with trajectories of authors' implementations, in tests/golden/modern_golden.npz."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx

GOLDEN = Path(__file__).parents[1] / "golden" / "modern_golden.npz"
STEPS = 20


@functools.cache
def arrays() -> dict[str, np.ndarray]:
    """Return all arrays by their names."""
    with np.load(GOLDEN) as file:
        return dict(file)


def leaves_of(entry: str) -> tuple[str, ...]:
    """Return the names of the leaves that an entry has."""
    return tuple(name.rpartition("/")[2] for name in arrays() if name.rpartition("/")[0] == entry)


def gradients(step: int, leaves: tuple[str, ...]) -> dict[str, jax.Array]:
    """Return the gradients of a step, which do not depend on the parameters."""
    return {leaf: jnp.asarray(arrays()[f"grads/{leaf}"][step]) for leaf in leaves}


def trajectory(tx: Any, leaves: tuple[str, ...]) -> tuple[dict[str, np.ndarray], list[Any]]:
    """Return the parameters from the first to those after each step, a row each, and the states after each step."""
    params: Any = {leaf: jnp.asarray(arrays()[f"params0/{leaf}"]) for leaf in leaves}
    state, rows, states = tx.init(params), [params], []
    update = jax.jit(tx.update)
    for step in range(STEPS):
        updates, state = update(gradients(step, leaves), state, params)
        params = gradtx.apply_updates(params, updates)
        rows.append(params)
        states.append(state)
    return {leaf: np.stack([np.asarray(row[leaf]) for row in rows]) for leaf in leaves}, states


def assert_moves_as(entry: str, tx: Any, leaves: tuple[str, ...] | None = None, atol: float = 1e-12) -> list[Any]:
    """Raise unless a transformation moves the parameters as an entry has it, in float64; return the states after each step.

    Args:
      entry: the name of a trajectory.
      tx: a transformation, learning rate included.
      leaves: those that are compared; by default all that the entry has.
      atol: the largest difference of a parameter.
    """
    chosen = leaves_of(entry) if leaves is None else leaves
    moved, states = trajectory(tx, chosen)
    for leaf in chosen:
        np.testing.assert_allclose(moved[leaf], arrays()[f"{entry}/{leaf}"], rtol=0, atol=atol, err_msg=f"{entry}/{leaf}")
    return states
