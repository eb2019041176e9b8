"""Compare a transformation with a trajectory that another library has left in tests/golden."""

import functools
from collections.abc import Collection
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import problem

GOLDEN = Path(__file__).parents[1] / "golden"


def read(name: str) -> dict[str, np.ndarray]:
    """Return the arrays of `tests/golden/<name>.npz` by their labels."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def run(tx: Any, scale: float = 1.0, extra_args: Any = None, names: Collection[str] = tuple(problem.SHAPES)) -> np.ndarray:
    """Return the parameters after each step of `problem.KEPT`, a row a step, in float64.

    Args:
      tx: a transformation.
      scale: of the gradients.
      extra_args: arrays by name with an entry for each step, which `update` is given.
      names: of the parameters that there are.
    """

    def present(arrays: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        return {name: jnp.asarray(arrays[name]) for name in names}

    params = present(problem.start())
    steps = [present(step) for step in problem.gradients(scale)]
    inputs = jax.tree.map(lambda *each: jnp.stack(each), *steps), {k: jnp.asarray(v) for k, v in (extra_args or {}).items()}

    path = _path(tx, params, inputs)
    kept = np.array(problem.KEPT) - 1
    return np.concatenate([np.asarray(path[name])[kept].reshape(len(kept), -1) for name in names], axis=1)


@functools.partial(jax.jit, static_argnums=0)  # a transformation is a value: gradients of another scale need no new compilation
def _path(tx: Any, params: Any, inputs: Any) -> Any:
    def step(carry: Any, given: Any) -> Any:
        params, state = carry
        updates, state = tx.update(given[0], state, params, **given[1])
        params = jax.tree.map(lambda p, u: p + u, params, updates)
        return (params, state), params

    return jax.lax.scan(step, (params, tx.init(params)), inputs)[1]


def difference(
    tx: Any,
    recorded: np.ndarray,
    scale: float = 1.0,
    extra_args: Any = None,
    names: Collection[str] = tuple(problem.SHAPES),
) -> float:
    """Return the largest difference of a parameter at any kept step, relative to the largest movement; see `run`."""
    return float(np.max(np.abs(run(tx, scale, extra_args, names) - recorded)) / movement(recorded, names))


def movement(recorded: np.ndarray, names: Collection[str] = tuple(problem.SHAPES)) -> float:
    """Return how far from its start a parameter has come at most."""
    start = problem.start()
    return float(np.max(np.abs(recorded - np.concatenate([start[name].ravel() for name in names]))))


def assert_moves_as_recorded(
    tx: Any, recorded: np.ndarray, scale: float = 1.0, extra_args: Any = None, rtol: float = 1e-12
) -> None:
    """Raise unless `tx` moves as the other library did, up to rounding of the parameters and `rtol` of the largest movement.

    Args:
      tx: a transformation.
      recorded: the parameters after each step of `problem.KEPT`, a row a step, in the order of `problem.SHAPES`.
      scale: of the gradients.
      extra_args: as in `run`.
      rtol: relative to the largest movement.
    """
    chex.assert_trees_all_close(run(tx, scale, extra_args), recorded, rtol=0, atol=rtol * movement(recorded) + 1e-14)
