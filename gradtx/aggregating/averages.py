"""Averages over examples, and over the parts of a batch."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.aggregating.elements import Aggregator, Axes, as_axes, check_not_empty
from gradtx.core import GradientTransformation, OptState, Params, Updates, chain, factory, identity, init_empty_state
from gradtx.numerics import Count, safe_increment


@factory
def average_per_element_updates(per_elt_axis: Axes = 0) -> Aggregator:
    """Replace the updates of single examples by their mean.

    Args:
      per_elt_axis: the axis of the examples, or several.

    Raises:
      ValueError: from `update`, leaves have no such axis, differ in the number of examples, or have none.
    """
    axes = as_axes(per_elt_axis)

    def update(updates: Updates, state: OptState, params: Params | None = None):
        check_not_empty(updates, axes)
        return jax.tree.map(lambda g: jnp.mean(g, axis=axes), updates), state

    return Aggregator(init_empty_state, update)


class AccumulateAvgUpdatesState(NamedTuple):
    """Parts since the last average, whether it was made in the last update, the average until now."""

    micro_step: Count
    ready: jax.Array
    avg_grad: Updates


@factory(accumulation_steps=require.AT_LEAST_ONE)
def accumulate_avg_updates(accumulation_steps: int) -> GradientTransformation:
    """Average the updates of k parts: return the mean after every k-th, and zeros before.

        a ← a + (g − a)/i       in the i-th part

    Within `process`, what comes after takes no step before. (`MultiSteps` does the same for one optimizer.)

    Args:
      accumulation_steps: k; for 1 this is the `identity`.

    Raises:
      ValueError: `accumulation_steps` is less than 1.
    """
    if accumulation_steps == 1:
        return identity()

    @tree.lift
    def rule(g, a, *, count, ready):
        a = a + (g - a) / count
        return jnp.where(ready, a, 0), jnp.where(ready, 0, a)

    def init(params: Params) -> AccumulateAvgUpdatesState:
        average = tree.moment_like(params)
        return AccumulateAvgUpdatesState(jnp.zeros((), jnp.int32), jnp.zeros((), bool), average)

    def update(updates: Updates, state: AccumulateAvgUpdatesState, params: Params | None = None):
        micro_step = safe_increment(state.micro_step)
        ready = micro_step >= accumulation_steps
        updates, average = rule(updates, state.avg_grad, count=micro_step.astype(float), ready=ready)
        return updates, AccumulateAvgUpdatesState(jnp.where(ready, 0, micro_step), ready, average)

    return GradientTransformation(init, update)


@factory(accumulation_steps=require.AT_LEAST_ONE)
def average_incrementally_updates(per_elt_axis: Axes | None, accumulation_steps: int) -> GradientTransformation:
    """Average over the examples of each part and over k parts; returns zeros but after every k-th.

    Args:
      per_elt_axis: the axis of the examples, or several; None if there is none, the updates being averages already.
      accumulation_steps: k.

    Returns:
      An `Aggregator`, or without an axis `accumulate_avg_updates`.

    Raises:
      ValueError: `accumulation_steps` is less than 1.
    """
    over_parts = accumulate_avg_updates(accumulation_steps)
    if per_elt_axis is None:
        return over_parts
    both = chain(average_per_element_updates(per_elt_axis), over_parts)
    return Aggregator(both.init, both.update)
