"""Optimistic Adam moves as in Optax, and with a schedule as its second version does."""

import chex
import jax.numpy as jnp
import optax
import pytest
import trajectories

import gradtx

pytestmark = pytest.mark.usefixtures("x64")


def schedule(count):
    return 0.1 / (1 + 0.5 * jnp.asarray(count, float))


@pytest.mark.parametrize("optimism", [None, 0.03])
@pytest.mark.parametrize("nesterov", [True, False])
def test_optimistic_adam_moves_as_in_optax(optimism, nesterov):
    def make(library):
        return library.optimistic_adam(0.1, optimism, nesterov=nesterov)

    trajectories.assert_moves_as_in_optax(lambda: make(gradtx), lambda: make(optax))


def test_optimistic_adam_takes_a_schedule_which_is_its_optimism_too():
    trajectories.assert_moves_as_in_optax(lambda: gradtx.optimistic_adam(schedule), lambda: optax.optimistic_adam_v2(schedule))


def test_optimism_is_a_multiple_of_the_learning_rate_in_the_second_version():
    start = trajectories.params()
    first, _ = trajectories.run(gradtx.optimistic_adam(0.1, 0.03), start)
    second, _ = trajectories.run(gradtx.optimistic_adam_v2(0.1, beta=0.3), start)
    chex.assert_trees_all_close(first, second, rtol=1e-12, atol=1e-14)


def test_optimism_beside_a_schedule_is_refused():
    with pytest.raises(ValueError, match="in optimistic_adam_v2 beta is optimism / learning_rate"):
        gradtx.optimistic_adam(schedule, 0.03)
