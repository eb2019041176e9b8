"""Averages of the parameters equal those that torch has left, and the formulas in NumPy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import problem
import pytest
import recorded
from torch_averages_cases import CASES, SGD

import gradtx
from gradtx.interop import torch

pytestmark = pytest.mark.usefixtures("x64")
GOLDEN = recorded.read("torch_averages")
DESCENT = gradtx.sgd(SGD["lr"], SGD["momentum"])


def path(tx):
    """The parameters and their averages after each step, each flat in a row."""
    steps = [jax.tree.map(jnp.asarray, step) for step in problem.gradients()]

    def step(carry, gradients):
        params, state = carry
        updates, state = tx.update(gradients, state, params)
        params = gradtx.apply_updates(params, updates)
        return (params, state), (params, gradtx.eval_params(state, params))

    params = jax.tree.map(jnp.asarray, problem.start())
    run = jax.jit(lambda gradients: jax.lax.scan(step, (params, tx.init(params)), gradients)[1])
    rows = run(jax.tree.map(lambda *each: jnp.stack(each), *steps))
    return tuple(
        np.concatenate([np.asarray(tree[name]).reshape(problem.STEPS, -1) for name in problem.SHAPES], axis=1) for tree in rows
    )


def averaged(case):
    """The wrapper that keeps the average of a case."""
    if case.decay is not None:
        return gradtx.exponentially_averaged(DESCENT, case.decay, warmup=False, begin=case.begin)
    if case.every == 1:
        return gradtx.polyak_averaged(DESCENT, begin=case.begin - 1)
    return gradtx.stochastic_weight_averaged(DESCENT, case.every, begin=case.begin)


def test_what_is_recorded_is_what_is_compared():
    assert GOLDEN.keys() == {str(case) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_average_is_that_of_torch(case):
    kept = np.array([step for step in problem.KEPT if step >= case.begin]) - 1
    _, averages = path(averaged(case))
    chex.assert_trees_all_close(averages[kept], GOLDEN[str(case)], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("begin", [0, 7])
@pytest.mark.parametrize("warmup", [True, False])
def test_an_exponential_average_follows_its_formula(warmup, begin):
    decay = 0.6
    params, averages = path(gradtx.exponentially_averaged(DESCENT, decay, warmup=warmup, begin=begin))
    a = problem.flat(problem.start())
    for step, p in enumerate(params, 1):
        t = step - begin
        d = 0 if t <= 0 else min(decay, (1 + t) / (10 + t)) if warmup else decay
        a = d * a + (1 - d) * p
        chex.assert_trees_all_close(averages[step - 1], a, rtol=1e-13, atol=1e-14)


def test_the_decay_may_be_a_schedule():
    decay = gradtx.linear_schedule(0.5, 0.9, 50)
    params, averages = path(gradtx.exponentially_averaged(DESCENT, decay, warmup=False))
    a = problem.flat(problem.start())
    for count, p in enumerate(params):
        d = 0.5 + 0.4 * min(count, 50) / 50
        a = d * a + (1 - d) * p
    chex.assert_trees_all_close(averages[-1], a, rtol=1e-12)


@pytest.mark.parametrize(("begin", "every"), [(0, 1), (0, 4), (3, 1), (10, 7)])
def test_stochastic_weight_averaging_is_the_mean_from_the_beginning_on(begin, every):
    params, averages = path(gradtx.stochastic_weight_averaged(DESCENT, every, begin=begin))
    points = [problem.flat(problem.start()), *params]
    for step in range(1, problem.STEPS + 1):
        expected = points[step] if step < begin else np.mean(points[begin : step + 1 : every], axis=0)
        chex.assert_trees_all_close(averages[step - 1], expected, rtol=1e-12, atol=1e-13)


def test_with_every_step_it_is_polyaks_that_begins_one_later():
    later = path(gradtx.polyak_averaged(DESCENT, begin=9))
    chex.assert_trees_all_close(path(gradtx.stochastic_weight_averaged(DESCENT, 1, begin=10)), later, rtol=1e-13)


def test_the_average_of_torchs_asgd_is_polyaks_that_begins_one_later():
    constant = torch.asgd(lr=0.1, lambd=0.0, alpha=0.0, t0=5)
    chex.assert_trees_all_close(path(constant), path(gradtx.polyak_averaged(gradtx.sgd(0.1), begin=6)), rtol=1e-13)
