"""Generalized primal averaging (Defazio et al. 2025): schedule-free learning with an exponential average."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    ScalarOrSchedule,
    Transformation,
    Updates,
    at_step,
    factory,
    forwards_to,
    if_stepped,
    tells,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment
from gradtx.require import Range
from gradtx.tree.dtypes import working_dtype
from gradtx.tree.paths import in_containers_of


class PrimalAveragedState(NamedTuple):
    """Steps taken, b1, z, the state of the inner transformation."""

    count: Count
    b1: jax.Array
    z: Params
    inner_state: OptState


@factory(b1=Range(low=0, high=1, low_included=False), shrinkage=Range(low=0, high=1))
def primal_averaged(
    inner: Transformation,
    b1: float = 0.7,
    decay: ScalarOrSchedule = 0.9967,
    *,
    shrinkage: ScalarOrSchedule = 0.0,
) -> GradientTransformationExtraArgs:
    """GPA: gradients are taken between an iterate and its exponential average, which is what is evaluated.

        y = (1−b1)·z + b1·x                       the parameters, where gradients are taken
        z ← z + the update of `inner`
        x ← decay·x + (1−decay)·z

    To evaluate the model, take x: `eval_params(state, params)`. While `schedule_free` has the mean of all z, this has one that
    forgets. Weight decay acts on z: before each step z ← (1 − shrinkage)·z, of which y follows 1 − decay. The learning rate is
    in it:

        primal_averaged(adam(1e-3), shrinkage=1e-3 * 0.1)      AdamW with a weight decay of 0.1

    Args:
      inner: an optimizer, with momentum or without, that does not decay weights.
      b1: how near to the average gradients are taken, above 0 and at most 1.
      decay: of the average, in [0, 1), a number or a schedule.
      shrinkage: the fraction of z that is taken away before each step, a number or a schedule.

    Raises:
      ValueError: a number is out of its range.

    Conventions:
      Around `adam` it is the authors' `GPAAdamW`, where b1 is `train_interp_coeff` and decay is `eval_interp_coeff`.

    References:
      Defazio et al., Smoothing DiLoCo with Primal Averaging for Faster Training of LLMs, 2025, https://arxiv.org/abs/2512.17131
    """
    inner = with_extra_args_support(inner)

    # Of y = (1−b1)·z + b1·x, with x gone from both sides.
    @tree.lift(like="u z")
    def rule(u, z, y, *, rate, shrinkage):
        z = (1 - shrinkage) * z
        return rate * (z - y) + (1 - b1 * (1 - rate)) * u, z + u

    def init(params: Params) -> PrimalAveragedState:
        z = tree.copy_of(params)
        first = jnp.array(b1, working_dtype(jax.tree.leaves(params)))
        return PrimalAveragedState(jnp.zeros((), jnp.int32), first, z, inner.init(params))

    @tells(precise=("z",))
    @forwards_to(inner, changes_updates=True)
    def update(updates: Updates, state: PrimalAveragedState, params: Params, **extra_args: Any):
        updates, inner_state = inner.update(updates, state.inner_state, params, **extra_args)
        at_steps = if_stepped(inner, state.inner_state, inner_state)
        rate = at_steps(1 - at_step(decay, state.count), 0)
        taken = at_steps(at_step(shrinkage, state.count), 0)
        updates, z = rule(updates, state.z, params, rate=rate, shrinkage=taken)
        count = at_steps(safe_increment(state.count), state.count)
        return updates, PrimalAveragedState(count, jnp.asarray(b1, state.b1.dtype), z, inner_state)

    return GradientTransformationExtraArgs(init, update)


def exponential_average(state: PrimalAveragedState, params: Params) -> Params:
    """Return x of a state of `primal_averaged`, with the parameters as they are where it has holes."""
    z = in_containers_of(params, state.z)
    [b1] = jax.tree.leaves(state.b1)  # out of its box, if it is in one
    return _exponential_average(z, params, b1=b1)


@tree.lift(like="y")
def _exponential_average(z, y, *, b1):
    return (y - (1 - b1) * z) / b1
