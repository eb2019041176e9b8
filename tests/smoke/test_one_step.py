"""One step of everything in the zoo, jitted and not: what a version of JAX that the whole suite does not run on must do."""

import os
import subprocess
import sys

import chex
import jax
import pytest
import zoo

from gradtx import testing


@pytest.mark.parametrize("label", zoo.existing(zoo.TRANSFORMATIONS))
def test_a_step_is_the_same_jitted_and_not(label):
    tx, params = zoo.transformation(label), testing.sample_params()
    params = {name: params[name] for name in ("vector", "matrix")}  # the laws try the others
    gradients, extra_args = jax.tree.map(lambda p: 0.5 - p, params), zoo.extra_args(label, params)

    def step(gradients, params):
        return tx.update(gradients, tx.init(params), params, **extra_args)

    updates, state = step(gradients, params)
    jitted_updates, jitted_state = jax.jit(step)(gradients, params)
    chex.assert_trees_all_equal_shapes_and_dtypes((jitted_updates, jitted_state), (updates, state))
    chex.assert_trees_all_close(jitted_updates, updates, rtol=1e-4, atol=1e-6)


FRESH = """
import jax, jax.numpy as jnp, gradtx

tx, params = gradtx.clip_by_global_norm(1.0), {"w": jnp.ones((8, 4))}

@jax.jit
def step(params, state):
    updates, state = tx.update(params, state, params)
    return gradtx.apply_updates(params, updates), state

state = tx.init(params)
for _ in range(3):
    params, state = step(params, state)
assert step._cache_size() == 1, step._cache_size()
"""


def test_the_first_step_of_a_process_is_compiled_once():
    """JAX traces again if what it imports meanwhile brings settings."""
    subprocess.run([sys.executable, "-c", FRESH], check=True, env={**os.environ, "JAX_NUM_CPU_DEVICES": "8"})
