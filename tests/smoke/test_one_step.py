"""One step of everything in the zoo, jitted and not: what a version of JAX that the whole suite does not run on must do."""

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
