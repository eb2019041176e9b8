"""Averages of the gradient: the heavy ball's trace, the exponential moving average, and its form with weights."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import numerics, require, tree
from gradtx.core import GradientTransformation, Params, ScalarOrSchedule, Updates, at_step, factory, tells
from gradtx.numerics import Count, safe_increment
from gradtx.tree.dtypes import working_dtype


class TraceState(NamedTuple):
    """Decaying sum of the updates."""

    trace: Updates


class TraceWithCountState(NamedTuple):
    """Steps taken, decaying sum of the updates."""

    count: Count
    trace: Updates


@factory(decay=require.MOMENTUM)
def trace(
    decay: float, nesterov: bool = False, accumulator_dtype: DTypeLike | None = None, *, dampening: float | None = None
) -> GradientTransformation:
    """Momentum: a decaying sum of the updates (not an average: it is 1/(1−decay) larger).

        t ← g + decay·t
        u = t                    or, with `nesterov`, u = g + decay·t

    With `dampening`, t ← (1−dampening)·g + decay·t after the first step, which stays t ← g as in PyTorch; the state then counts
    the steps.

    Args:
      decay: what is kept of the sum at each step, in [−1, 1]; 1 sums all gradients.
      nesterov: whether to look one step ahead.
      accumulator_dtype: dtype of the sum; by default that of the parameters, float32 at least.
      dampening: what is left out of each gradient but the first.

    References:
      Polyak, Some methods of speeding up the convergence of iteration methods, 1964,
        https://doi.org/10.1016/0041-5553(64)90137-5
      Sutskever et al., On the importance of initialization and momentum in deep learning, 2013,
        https://proceedings.mlr.press/v28/sutskever13.html
    """
    tree.check_moment_dtype(accumulator_dtype)

    @tree.lift
    def rule(g, t, *, weight=None):
        t = (g if weight is None else weight * g) + decay * t
        return g + decay * t if nesterov else t, t

    def init(params: Params) -> TraceState | TraceWithCountState:
        trace = tree.moment_like(params, accumulator_dtype)
        return TraceWithCountState(jnp.zeros((), jnp.int32), trace) if dampening is not None else TraceState(trace)

    @tells(decays={"trace": ("decay", decay)})
    def update(updates: Updates, state: TraceState | TraceWithCountState, params: Params | None = None):
        if dampening is None or not isinstance(state, TraceWithCountState):
            updates, trace = rule(updates, state.trace)
            return updates, TraceState(trace)
        updates, trace = rule(updates, state.trace, weight=jnp.where(state.count == 0, 1, 1 - dampening))
        return updates, TraceWithCountState(safe_increment(state.count), trace)

    return GradientTransformation(init, update)


class EmaState(NamedTuple):
    """Steps taken, moving average of the updates."""

    count: Count
    ema: Updates


@factory(output_decay=require.DECAY)
def ema(
    decay: float,
    debias: bool = True,
    accumulator_dtype: DTypeLike | None = None,
    *,
    output_decay: float | None = None,
) -> GradientTransformation:
    """An exponential moving average of the updates.

        m ← decay·m + (1−decay)·g
        u = m / (1−decayᵗ)       or, without `debias`, u = m

    With an `output_decay` c, the latest gradient has another weight in u than it has in m:

        u = (c·m + (1−c)·g) / (1−c·decayᵗ⁻¹)       m before this step; without `debias` it is not divided

    Args:
      decay: weight of the past, in [0, 1).
      debias: whether to divide by the weight accumulated so far, without which the first updates are too small.
      accumulator_dtype: dtype of the average; by default that of the parameters, float32 at least.
      output_decay: c, below `decay` for a look ahead as Nesterov's; Distributed Shampoo calls it beta3.
    """
    tree.check_moment_dtype(accumulator_dtype)

    @tree.lift
    def rule(g, m, *, weight):
        new = decay * m + (1 - decay) * g
        u = new if output_decay is None else output_decay * m + (1 - output_decay) * g
        return u / weight if debias else u, new

    def init(params: Params) -> EmaState:
        return EmaState(jnp.zeros((), jnp.int32), tree.moment_like(params, accumulator_dtype))

    @tells(decays={"ema": ("decay", decay)})
    def update(updates: Updates, state: EmaState, params: Params | None = None):
        count = safe_increment(state.count)
        weight = numerics.debias(decay, count)
        if output_decay is not None:
            weight = 1 - output_decay + output_decay * numerics.debias(decay, state.count)
        updates, average = rule(updates, state.ema, weight=weight)
        return updates, EmaState(count, average)

    return GradientTransformation(init, update)


class WeightedEmaState(NamedTuple):
    """Steps taken, moving average of the weights, weighted moving average of the updates."""

    count: Count
    weight: jax.Array
    ema: Updates


@factory(weight=require.NONNEGATIVE)
def weighted_ema(decay: float, weight: ScalarOrSchedule, accumulator_dtype: DTypeLike | None = None) -> GradientTransformation:
    """An exponential moving average of the updates in which each has a weight, such as the learning rate of its step.

        s ← decay·s + (1−decay)·w
        m ← decay·m + (1−decay)·w·g
        u = m / s                           0 as long as all weights were 0

    With a constant weight it is `ema`, debiased. With the learning rate as weight, updates of a warm-up count for as little in
    the mean as they would have in a step.

    Args:
      decay: weight of the past, in [0, 1).
      weight: w, of the newest update; a number or a schedule.
      accumulator_dtype: dtype of the average, which is kept as m / s; by default that of the parameters, float32 at least.

    Raises:
      ValueError: `decay` is not in [0, 1), or `weight` is negative.

    References:
      Ziyin, Wang and Ueda, LaProp: Separating Momentum and Adaptivity in Adam, 2020, https://arxiv.org/abs/2002.04839
    """
    tree.check_moment_dtype(accumulator_dtype)

    @tree.lift
    def rule(g, m, *, kept, new):
        m = kept * m + new * g
        return m, m

    def init(params: Params) -> WeightedEmaState:
        average = tree.moment_like(params, accumulator_dtype)
        return WeightedEmaState(jnp.zeros((), jnp.int32), jnp.zeros((), working_dtype(jax.tree.leaves(params))), average)

    @tells(decays={"ema": ("decay", decay)})
    def update(updates: Updates, state: WeightedEmaState, params: Params | None = None):
        dtype = state.weight.dtype
        past = jnp.asarray(decay, dtype) * state.weight
        newest = jnp.asarray(1 - decay, dtype) * jnp.asarray(at_step(weight, state.count), dtype)
        total = past + newest
        divisor = jnp.where(total > 0, total, 1)
        updates, average = rule(updates, state.ema, kept=past / divisor, new=newest / divisor)
        return updates, WeightedEmaState(safe_increment(state.count), total, average)

    return GradientTransformation(init, update)
