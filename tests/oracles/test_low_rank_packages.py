"""APOLLO and Fira against trajectories of their authors' packages, APOLLO fed with the random matrices that it drew."""

from typing import Any

import jax
import jax.numpy as jnp
import low_rank_packages_cases as packages
import numpy as np
import pytest
import recorded

import gradtx
from gradtx.wrappers import low_rank_norms

GOLDEN = recorded.read("low_rank_packages")
RATE = 2**-6
OPTIONS: dict[str, Any] = {
    "update_proj_gap": 7,
    "weight_dimension_numbers": gradtx.GaLoreDimensionNumbers(reduction_axis=1, output_axis=0),  # PyTorch's outputs by inputs
}
TRANSFORMATIONS: dict[str, Any] = {
    "apollo": lambda: gradtx.apollo(RATE, 2, **OPTIONS),
    "apollo, scaled": lambda: gradtx.chain(
        gradtx.apollo(RATE, 1, scale=4.0, b1=0.8, b2=0.97, eps=1e-3, **OPTIONS), gradtx.decay_after_step(RATE, 0.1)
    ),
    "apollo_mini": lambda: gradtx.apollo_mini(2**-8, **OPTIONS),
    "apollo, unbounded": lambda: gradtx.apollo(RATE, 3, max_growth=None, **OPTIONS),
    "fira": lambda: gradtx.fira(RATE, 2, **{**OPTIONS, "update_proj_gap": 100}),
    "fira, in turns": lambda: gradtx.chain(
        gradtx.fira(RATE, 1, scale=0.25, b1=0.0, b2=0.97, eps=1e-3, **OPTIONS), gradtx.decay_after_step(RATE, 0.1)
    ),
}


def directions(label: str) -> Any:
    """A function of the number of the turn that returns what the package drew then, as (inputs or outputs, rank)."""
    turns = {name: GOLDEN.get(f"{label}.directions/{name}") for name in packages.SHAPES}
    # Of a wide matrix the package has (outputs, rank), else (rank, inputs).
    drawn = {name: None if x is None else jnp.asarray(x if name == "wide" else x.mT) for name, x in turns.items()}
    return lambda turn, *_: jax.tree.map(lambda x: x[turn], drawn)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("label", TRANSFORMATIONS)
def test_moves_as_the_authors_package_does(label, monkeypatch):
    monkeypatch.setattr(low_rank_norms, "folded_key", lambda key, start, turn: turn)
    monkeypatch.setattr(low_rank_norms, "random_directions", directions(label))
    tx = TRANSFORMATIONS[label]()
    params = jax.tree.map(jnp.asarray, packages.start())
    state = tx.init(params)
    path = {name: [] for name in params}
    for gradients in packages.gradients():
        updates, state = tx.update(gradients, state, params)
        params = gradtx.apply_updates(params, updates)
        for name, p in params.items():
            path[name].append(p)
    for name, first in packages.start().items():
        expected = GOLDEN[f"{label}/{name}"]
        difference = np.max(np.abs(np.stack(path[name]) - expected))
        assert difference < 1e-12 * np.max(np.abs(expected - first)), f"{name}: {difference}"
