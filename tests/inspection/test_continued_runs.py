"""A run that goes on with another optimizer, or with other containers, is the run that it would have been."""

import dataclasses
from typing import Any, NamedTuple

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from flax.core import FrozenDict
from small_runs import loss, start

import gradtx

BEFORE, AFTER = 5, 8
RATE = gradtx.linear_schedule(0.1, 0.0, 20)
ADAMW = gradtx.adamw(RATE, weight_decay=0.01)


def run(tx, params, state, steps):
    @jax.jit
    def step(params, state):
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return gradtx.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
    return params, state


def by_leaf(params):
    return {name: name for name in params}


ALIKE = {
    "a clip that clips nothing": gradtx.chain(gradtx.clip_by_global_norm(1e9), ADAMW),
    "groups of equal hyperparameters": gradtx.partition({"a": ADAMW, "b": ADAMW}, by_leaf),
    "groups by path": gradtx.grouped(ADAMW, [gradtx.Group("a"), gradtx.Group("b")]),
    "a mask of all": gradtx.masked(ADAMW, {"a": True, "b": True}),
    "a wrapper": gradtx.apply_if_finite(ADAMW, 3),
    "gathering of one mini-step": gradtx.MultiSteps(ADAMW, 1, accumulator_dtype=jnp.float64),
    "an average beside it": gradtx.exponentially_averaged(ADAMW),
    "hyperparameters in the state": gradtx.adjustable(ADAMW),
    "the pieces": gradtx.chain(
        gradtx.scale_by_adam(), gradtx.add_decayed_weights(0.01), gradtx.identity(), gradtx.scale_by_learning_rate(RATE)
    ),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("label", ALIKE)
def test_a_run_goes_on_as_if_nothing_had_happened(label):
    params, state = run(ADAMW, start(), ADAMW.init(start()), BEFORE)
    expected, expected_state = run(ADAMW, params, state, AFTER)
    other = ALIKE[label]
    actual, actual_state = run(other, params, gradtx.transfer_state(state, other, params)[0], AFTER)
    chex.assert_trees_all_close(actual, expected, rtol=1e-13)
    back, report = gradtx.transfer_state(actual_state, ADAMW, actual)
    chex.assert_trees_all_close(back, expected_state, rtol=1e-12)
    assert not report.new


# --- containers -------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """Parameters in a NamedTuple."""

    kernel: Any
    bias: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Plain:
    """Parameters in a dataclass."""

    kernel: Any
    bias: Any


class Module(eqx.Module):
    """Parameters in a module of equinox."""

    kernel: Any
    bias: Any


class Linear(nnx.Module):
    """Parameters in a module of flax."""

    def __init__(self, kernel, bias):
        self.kernel, self.bias = nnx.Param(kernel), nnx.Param(bias)


LEAVES = {"kernel": jnp.asarray([[1.0, 2.0]]), "bias": jnp.asarray([0.5, -0.5])}
CONTAINERS = {
    "a dict": LEAVES,
    "a FrozenDict": FrozenDict(LEAVES),
    "a NamedTuple": Pair(**LEAVES),
    "a dataclass": Plain(**LEAVES),
    "a module of equinox": Module(**LEAVES),
    "a module of nnx": nnx.state(Linear(**LEAVES), nnx.Param),
}


@pytest.mark.parametrize("tx", [gradtx.adam(0.1), gradtx.polyak_averaged(gradtx.sm3(0.1))], ids=["adam", "averaged sm3"])
@pytest.mark.parametrize("new", CONTAINERS)
@pytest.mark.parametrize("old", CONTAINERS)
def test_parameters_move_into_other_containers(old, new, tx):
    state = jax.tree.map(lambda leaf: leaf + 1, tx.init(CONTAINERS[old]))
    expected = jax.tree.map(lambda leaf: leaf + 1, tx.init(CONTAINERS[new]))
    actual, report = gradtx.transfer_state(state, tx, CONTAINERS[new], strict=True)
    chex.assert_trees_all_equal(actual, expected)
    assert f"{'AveragedState.average' if report.kept[0].startswith('Averaged') else 'ScaleByAdamState.mu'}/bias" in report.kept
