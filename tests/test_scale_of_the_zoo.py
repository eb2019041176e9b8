"""Every transformation of the zoo computes on parts, on stacks and with a divided state what it does on the whole.

How states lie is tried on all functions. Of the other laws one sample of each family is tried, and one of each way to reduce;
all laws on all samples, as CI does once a week, by

    WHOLE_ZOO=1 pytest tests/test_scale_of_the_zoo.py
"""

import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
import zoo
from chosen_laws import LAWS_OF_SCALE
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from test_laws import LABELS, PIECES, marks

import gradtx
from gradtx.testing import LAWS

WHOLE_ZOO = os.environ.get("WHOLE_ZOO")
SHAPES = {"b": (8,), "down": (4, 8), "rows": (6, 3), "same": (8, 4), "up": (8, 4), "z": ()}

OF_ALL = ("sharding_is_kept", "abstract_state_tells_the_truth")
# One of each way to reduce: of the tree, of a leaf, along axes of it, by whole matrices.
REDUCING = [
    "adafactor", "adaptive_grad_clip", "apply_if_finite", "centralize", "clip_by_block_rms", "dog", "dynamic_loss_scaling",
    "galore", "lamb", "mechanize", "momo", "normalize_by_update_norm", "novograd", "prodigy",
    "scale_by_distance_over_gradients", "scale_by_polyak", "scale_by_trust_ratio", "sm3",
]  # fmt: skip


def labels_for(name):
    if WHOLE_ZOO:
        return LABELS
    return PIECES if name in OF_ALL else [*zoo.QUICK, *REDUCING]


def parameters():
    rng = np.random.default_rng(0)
    return {key: jnp.asarray(rng.normal(size=shape), jnp.float32) for key, shape in SHAPES.items()}


CASES = [
    pytest.param(label, name, marks=marks(label, name), id=f"{label}-{name}")
    for name in LAWS_OF_SCALE
    for label in labels_for(name)
]


@pytest.mark.parametrize(("label", "name"), CASES)
def test_the_law_of_scale_is_kept(label, name):
    LAWS[name](zoo.transformation(label), parameters(), zoo.TRANSFORMATIONS[label].extra_args)


def on_devices(number):
    """The parameters on so many devices, split in different ways."""
    mesh = jax.make_mesh((number // 2, 2), ("x", "y"), axis_types=(AxisType.Auto,) * 2, devices=jax.devices()[:number])
    specs = {"b": P("y"), "down": P("y", "x"), "rows": P("y"), "same": P("x", "y"), "up": P("y"), "z": P()}
    return {name: jax.device_put(p, NamedSharding(mesh, specs[name])) for name, p in parameters().items()}


@pytest.mark.parametrize("label", LABELS if WHOLE_ZOO else zoo.QUICK)
def test_a_checkpoint_moves_to_fewer_devices_and_back(label, tmp_path):
    if label == "sharded":
        pytest.skip("the sample is for a mesh of its own; see test_sharded")
    tx, checkpointer = zoo.transformation(label), ocp.StandardCheckpointer()

    def step(params, state):
        gradients = jax.tree.map(jnp.cos, params)
        return tx.update(gradients, state, params, **zoo.extra_args(label, params))[1]

    def moved(state, number):
        """The state from a file, on other devices."""
        params = on_devices(number)
        target = {"params": params, "state": gradtx.abstract_state(tx, params)}
        checkpointer.save(tmp_path / str(number), {"params": params, "state": state})
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / str(number), target)["state"]
        chex.assert_trees_all_equal(jax.device_get(restored), jax.device_get(state))
        for leaf, planned in zip(jax.tree.leaves(restored), jax.tree.leaves(target["state"]), strict=True):
            assert leaf.sharding.is_equivalent_to(planned.sharding, leaf.ndim)
        return restored

    params = on_devices(8)
    state = moved(jax.jit(step)(params, tx.init(params)), 4)
    state = moved(jax.jit(step)(on_devices(4), state), 8)
    jax.jit(step)(params, state)
