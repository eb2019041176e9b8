"""The mean and the variance of the gradients of single examples."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.aggregating.elements import Aggregator, Axes, as_axes, check_not_empty
from gradtx.aggregating.processing import process
from gradtx.core import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    chain,
    factory,
    identity,
)
from gradtx.numerics import Count, abs_sq, clipped_to_finite, safe_increment
from gradtx.tree.dtypes import at_least_float32


class PerElementMeanAndSumSqDiffGradsState(NamedTuple):
    """Parts since the last result, whether it was made in the last update, mean and squared deviations until now."""

    micro_step: Count
    ready: jax.Array
    mean_grads: Updates
    sum_sq_diff_grads: Updates


@factory(accumulation_steps=require.AT_LEAST_ONE)
def get_per_element_mean_and_sum_sq_diff_grads(per_elt_axis: Axes = 0, accumulation_steps: int = 1) -> Aggregator:
    """Replace the updates of single examples by their mean, and tell how much they differ.

        mean = Σ gᵢ / n       sum_sq_diff_grads = Σ |gᵢ − mean|²       n = sample_size

    over the examples of k parts of one size, whose sums are merged without cancellation. It returns zeros but after every k-th.

    Args:
      per_elt_axis: the axis of the examples, or several.
      accumulation_steps: k.

    Returns:
      An aggregator for `process(..., aggregator_has_aux=True)`: instead of updates, its `update` returns a pair of updates and
      a dict of `sum_sq_diff_grads`, a tree like them in float32 at least, and `sample_size`, an int32 scalar.

    Raises:
      ValueError: `accumulation_steps` is less than 1; from `update`, leaves have no such axis, differ in the number of
        examples, or have none.

    References:
      Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances, 1979,
      http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf
    """
    axes = as_axes(per_elt_axis)

    @tree.lift
    def merge(g, d, m, s, *, count, size, ready):
        # Of this part, g and d are what m and s are of those before.
        s = s + d + clipped_to_finite(abs_sq(g - m)) * (size * (count - 1) / count)
        m = m + (g - m) / count
        return jnp.where(ready, m, 0), jnp.where(ready, s, 0), jnp.where(ready, 0, m), jnp.where(ready, 0, s)

    def init(params: Params) -> OptState:
        mean, squares = tree.moment_like(params), tree.moment_like(params, real=True)
        if accumulation_steps == 1:
            return EmptyState()
        return PerElementMeanAndSumSqDiffGradsState(jnp.zeros((), jnp.int32), jnp.zeros((), bool), mean, squares)

    def update(updates: Updates, state: OptState, params: Params | None = None):
        size = check_not_empty(updates, axes)
        total = jnp.asarray(size * accumulation_steps, jnp.int32)
        mean, squares = _mean_and_squares(updates, axes)
        if accumulation_steps > 1:
            count = safe_increment(state.micro_step)
            ready = count >= accumulation_steps
            total = jnp.where(ready, total, 0)
            scalars = {"count": count.astype(float), "size": float(size), "ready": ready}
            mean, squares, *kept = merge(mean, squares, state.mean_grads, state.sum_sq_diff_grads, **scalars)
            state = PerElementMeanAndSumSqDiffGradsState(jnp.where(ready, 0, count), ready, *kept)
        return (tree.cast_like(mean, updates), {"sum_sq_diff_grads": squares, "sample_size": total}), state

    return Aggregator(init, update)


class PerElementMeanAndVarianceEMAState(NamedTuple):
    """Steps taken, decay, moving averages of the mean and of the variance."""

    count: Count
    ema_decay: jax.Array
    mean_grads_ema: Updates
    variance_grads_ema: Updates


@factory(ema_decay=require.DECAY)
def track_per_element_mean_and_variance_with_ema(ema_decay: float | jax.Array = 0.9) -> GradientTransformation:
    """Return the updates as they are, and average their mean and their variance over the steps.

        m ← b·m + (1−b)·g       v ← b·v + (1−b)·s/(n−1)

    A single example tells nothing of the variance, and counts as one of 0.

    Args:
      ema_decay: b, in [0, 1). It is kept in the state, for `get_unbiased_mean_and_variance_ema`.

    Returns:
      A transformation whose `update` reads the extra arguments `sum_sq_diff_grads`, s, and `sample_size`, n, which come from
      `get_per_element_mean_and_sum_sq_diff_grads`.

    Raises:
      ValueError: `ema_decay` is out of range.
    """

    @tree.lift(like="m v")
    def rule(g, m, v, s, *, decay, degrees):
        return decay * m + (1 - decay) * g, decay * v + (1 - decay) * (s / degrees)

    def init(params: Params) -> PerElementMeanAndVarianceEMAState:
        return PerElementMeanAndVarianceEMAState(
            count=jnp.zeros((), jnp.int32),
            ema_decay=jnp.array(ema_decay, float),
            mean_grads_ema=tree.moment_like(params),
            variance_grads_ema=tree.moment_like(params, real=True),
        )

    def update(
        updates: Updates,
        state: PerElementMeanAndVarianceEMAState,
        params: Params | None = None,
        *,
        sum_sq_diff_grads: Updates,
        sample_size: Any,
    ):
        count, decay, mean, variance = state
        degrees = jnp.maximum(jnp.asarray(sample_size) - 1, 1).astype(float)
        mean, variance = rule(updates, mean, variance, sum_sq_diff_grads, decay=decay, degrees=degrees)
        return updates, PerElementMeanAndVarianceEMAState(safe_increment(count), decay, mean, variance)

    return GradientTransformation(init, update)


def get_unbiased_mean_and_variance_ema(state: OptState) -> tuple[Updates, Updates]:
    """Return the averages of mean and variance that a state holds, without the weight of the zeros they began with.

        m / (1 − bᵗ),  v / (1 − bᵗ)       before the first step, zeros

    Args:
      state: of an optimizer with one `track_per_element_mean_and_variance_with_ema`, such as `add_mean_variance_to_opt` makes.

    Raises:
      KeyError: there are several.
      ValueError: there is none.
    """
    found = tree.get(state, "PerElementMeanAndVarianceEMAState")
    if found is None:
        raise ValueError("get_unbiased_mean_and_variance_ema: the state is of no optimizer with add_mean_variance_to_opt.")
    count, decay, mean, variance = found
    steps = jnp.maximum(count, 1)
    return tree.bias_correction(mean, decay, steps), tree.bias_correction(variance, decay, steps)


@factory(ema_decay=require.DECAY, accumulation_steps=require.AT_LEAST_ONE)
def add_mean_variance_to_opt(
    opt: Transformation, ema_decay: float | jax.Array = 0.9, per_elt_axis: Axes = 0, accumulation_steps: int = 1
) -> GradientTransformationExtraArgs:
    """Let an optimizer take the gradients of single examples, and average their mean and variance over the steps.

    It steps as `opt` does with the mean. `get_unbiased_mean_and_variance_ema` reads the averages from the state.

    Args:
      opt: an optimizer.
      ema_decay: weight of the past in the averages, in [0, 1).
      per_elt_axis: the axis of the examples, or several.
      accumulation_steps: the parts of a batch; `opt` steps after the last of them.

    Raises:
      TypeError: `opt` is not a transformation.
      ValueError: a hyperparameter is out of range.
    """
    gather = get_per_element_mean_and_sum_sq_diff_grads(per_elt_axis, accumulation_steps)
    track = track_per_element_mean_and_variance_with_ema(ema_decay)
    return process(identity(), gather, chain(track, opt), aggregator_has_aux=True)


def _mean_and_squares(updates: Updates, axes: tuple[int, ...]) -> tuple[Updates, Updates]:
    leaves, structure = jax.tree.flatten(updates)
    pairs = [_leaf_mean_and_squares(g, axes) for g in leaves]
    return structure.unflatten(mean for mean, _ in pairs), structure.unflatten(squares for _, squares in pairs)


@functools.partial(jax.jit, static_argnums=1)  # traced once for each shape
def _leaf_mean_and_squares(g: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    g = g.astype(at_least_float32(g.dtype))
    mean = jnp.mean(g, axis=axes, keepdims=True)
    return jnp.squeeze(mean, axes), jnp.sum(clipped_to_finite(abs_sq(g - mean)), axis=axes)
