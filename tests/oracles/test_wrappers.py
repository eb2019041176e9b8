"""Wrappers move as Optax's do, and keep the same states."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import trajectories

import gradtx

pytestmark = pytest.mark.usefixtures("x64")


def ranks(params):
    return jax.tree.map(lambda p: "matrices" if p.ndim == 2 else "others", params)


def matrices(params):
    return jax.tree.map(lambda p: p.ndim == 2, params)


def clipped_sgd(library):
    return library.chain(library.clip_by_global_norm(1.0), library.sgd(0.1, 0.9))


def early_or_third(step):
    return (step < 4) | (step % 3 == 0)


def when_small(step, *, value, **others):
    return value < 10.0


BY_NAME = {"scalar": 1, "vector": 2, "matrix": 1, "hole": None}
FROZEN = {"scalar": True, "vector": False, "matrix": True, "hole": None}
WRAPPERS = {
    "partition": lambda library: library.partition({"matrices": library.adamw(0.1), "others": clipped_sgd(library)}, ranks),
    "partition by a tree": lambda library: library.partition(
        {1: library.adam(0.1), 2: library.set_to_zero(), 3: library.lion(0.1)}, BY_NAME
    ),
    "freeze": lambda library: library.chain(library.adam(0.1), library.freeze(matrices)),
    "selective_transform": lambda library: library.selective_transform(library.adam(0.1), freeze_mask=FROZEN),
    "conditionally_transform": lambda library: library.conditionally_transform(library.adam(0.1), early_or_third),
    "conditionally_mask": lambda library: library.conditionally_mask(library.adam(0.1), early_or_third),
    "conditionally_mask by a value": lambda library: library.conditionally_mask(library.adam(0.1), when_small, True),
    "flatten": lambda library: library.flatten(library.chain(library.clip_by_block_rms(0.1), library.adam(0.1))),
}


@pytest.mark.parametrize("label", WRAPPERS)
def test_a_wrapper_moves_as_in_optax(label):
    make = WRAPPERS[label]

    def extra_args(params, gradients):
        return {"value": gradtx.tree.norm(params, squared=True)} if "value" in label else {}

    trajectories.assert_moves_as_in_optax(make(gradtx), lambda: make(optax), extra_args=extra_args)


@pytest.mark.parametrize("reset_state", [False, True])
@pytest.mark.parametrize("period", [1, 3])
def test_lookahead_moves_as_in_optax(period, reset_state):
    start = {name: p for name, p in trajectories.params().items() if p is not None}

    def path(library):
        tx = library.lookahead(library.adam(0.1), period, 0.3, reset_state)
        params = library.LookaheadParams.init_synced(start)
        state, points = tx.init(params), []
        for t in range(trajectories.STEPS):
            updates, state = jax.jit(tx.update)(trajectories.gradients(start, t), state, params)
            params = jax.tree.map(jnp.add, params, updates)
            points.append(tuple(params))
        return points, jax.tree.leaves(state)

    ours = path(gradtx)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        chex.assert_trees_all_close(ours, path(optax), rtol=1e-10, atol=1e-12)


def test_complex_numbers_are_split_as_in_optax():
    random = np.random.default_rng(0)
    start = {"z": jnp.asarray(random.normal(size=3) + 1j * random.normal(size=3)), "r": jnp.asarray(random.normal(size=2))}
    trajectories.assert_moves_as_in_optax(
        lambda: gradtx.split_real_and_imaginary(gradtx.adam(0.1)),
        lambda: optax.contrib.split_real_and_imaginary(optax.adam(0.1)),
        start,
    )


@pytest.mark.parametrize("variant", ["sps", "sps+"])
def test_polyak_moves_as_in_optax(variant):
    def extra_args(params, gradients):
        return {"value": gradtx.tree.norm(params, squared=True) - 3.0}

    options = {"max_learning_rate": 0.5, "scaling": 0.7, "f_min": -1.0, "eps": 0.1, "variant": variant}
    trajectories.assert_moves_as_in_optax(
        lambda: gradtx.polyak_sgd(**options), lambda: optax.polyak_sgd(**options), extra_args=extra_args
    )
