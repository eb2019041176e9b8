"""GaLore moves as in Optax, and as a few lines of NumPy."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import trajectories

import gradtx

pytestmark = pytest.mark.usefixtures("x64")


def schedule(count):
    return 0.1 / (1 + 0.5 * jnp.asarray(count, float))


def start():
    random = np.random.default_rng(0)
    shapes = {"tall": (7, 4), "wide": (4, 7), "square": (4, 4), "vector": (5,), "scalar": (), "heads": (4, 2, 3)}
    return {name: jnp.asarray(random.normal(size=shape)) for name, shape in shapes.items()}


def heads(kind):
    return {**dict.fromkeys(("tall", "square", "vector", "scalar")), "wide": kind(1, 0), "heads": kind(0, (1, 2))}


OPTIONS = [
    {"rank": 2},
    {"rank": 1, "update_proj_gap": 7, "scale": 0.25, "weight_decay": 0.1},
    {"rank": 9, "weight_decay": 0.1, "mask": lambda params: jax.tree.map(lambda p: p.ndim == 2, params)},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("learning_rate", [0.1, schedule])
def test_galore_moves_as_in_optax(learning_rate, options):
    # Optax decomposes in float32. (No column of a gradient may vanish: Adam would magnify the rounding of its directions.)
    trajectories.assert_moves_as_in_optax(
        partial(gradtx.galore, learning_rate, **options),
        partial(optax.contrib.galore, learning_rate, **options),
        start(),
        rtol=1e-4,
    )


@pytest.mark.parametrize("as_function", [False, True])
def test_matrices_by_dimension_numbers_move_as_in_optax(as_function):
    def chosen(kind):
        return (lambda params: heads(kind)) if as_function else heads(kind)

    ours, theirs = gradtx.GaLoreDimensionNumbers, optax.contrib.GaLoreDimensionNumbers
    trajectories.assert_moves_as_in_optax(
        lambda: gradtx.galore(0.1, 2, base_optimizer=gradtx.trace(0.9), weight_dimension_numbers=chosen(ours)),
        lambda: optax.contrib.galore(0.1, 2, base_optimizer=optax.trace(0.9), weight_dimension_numbers=chosen(theirs)),
        start(),
        rtol=1e-4,
    )


@pytest.mark.parametrize("shape", [(6, 3), (3, 6)])
def test_momentum_in_the_subspace_is_that_of_numpy(shape):
    params = jnp.zeros(shape)
    gradients = [np.asarray(trajectories.gradients(params, t)) for t in range(20)]
    momentum: np.ndarray | float = 0.0
    tx = gradtx.scale_by_galore(2, 5, base_optimizer=gradtx.trace(0.9))
    state, subspace = tx.init(params), np.zeros((6, 2))
    for t, g in enumerate(gradients):
        updates, state = tx.update(jnp.asarray(g), state)
        if t % 5 == 0:
            left, _, right = np.linalg.svd(g, full_matrices=False)
            new = left[:, :2] if shape[0] > shape[1] else right[:2].T
            # A singular vector has no sign of its own: that of the library is taken, by which the momentum goes on.
            subspace = new * np.sign(np.sum(new * np.asarray(state.projector), axis=0))
            chex.assert_trees_all_close(state.projector, subspace, rtol=1e-9, atol=1e-12)
        momentum = 0.9 * momentum + (subspace.T @ g if shape[0] > shape[1] else g @ subspace)
        expected = subspace @ momentum if shape[0] > shape[1] else momentum @ subspace.T
        chex.assert_trees_all_close(updates, expected, rtol=1e-9, atol=1e-12)
