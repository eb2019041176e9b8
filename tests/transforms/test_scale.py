"""Scaling by numbers and schedules, beyond what the oracles and the laws see."""

from typing import Any

import chex
import jax.numpy as jnp
import pytest

from gradtx.transforms.scale import scale, scale_by_learning_rate, scale_by_schedule
from gradtx.wrappers.inject_hyperparams import inject_hyperparams

ONES = jnp.ones(3)


def updated(tx):
    return tx.update(ONES, tx.init(ONES))[0]


def test_a_whole_number_is_a_step_size_that_can_be_injected():
    tx = inject_hyperparams(scale)(2)
    assert tx.init(ONES).hyperparams == {"step_size": 2.0}
    chex.assert_trees_all_equal(updated(tx), 2 * ONES)


def test_a_learning_rate_descends_unless_told_otherwise():
    chex.assert_trees_all_equal(updated(scale_by_learning_rate(0.5)), -0.5 * ONES)
    chex.assert_trees_all_equal(updated(scale_by_learning_rate(0.5, flip_sign=False)), 0.5 * ONES)
    chex.assert_trees_all_equal(updated(scale_by_learning_rate(None)), ONES)


def test_a_schedule_is_asked_for_step_0_first():
    tx = scale_by_schedule(lambda step: step + 1)
    state = tx.init(ONES)
    for expected in (1.0, 2.0, 3.0):
        updates, state = tx.update(ONES, state)
        chex.assert_trees_all_equal(updates, expected * ONES)
    assert state.count == 3


def test_a_number_in_the_place_of_a_schedule_is_refused():
    number: Any = 0.1
    with pytest.raises(
        TypeError,
        match=r"step_size_fn must be a function, got 0\.1; for a number write constant_schedule\(0\.1\)",
    ):
        scale_by_schedule(number)
