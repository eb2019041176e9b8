"""Leave out the steps of batches that are far from all of late."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.compiled import compiled, run_if
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    no_updates,
    tells,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment
from gradtx.tree.dtypes import working_dtype

# Rounding of numbers that are all alike, and noise of a loss that has converged, are no spikes.
_LEAST_DEVIATION = 1e-3  # of the mean


class SkipSpikesState(NamedTuple):
    """Steps left out in a row, and in all; the last norms and values, and how many there are; the inner state."""

    in_a_row: Count
    total: Count
    norms: jax.Array
    norms_seen: Count
    values: jax.Array
    values_seen: Count
    inner_state: OptState


@factory(window=require.Range(low=2), sigmas=require.POSITIVE, max_in_a_row=require.AT_LEAST_ONE)
def skip_spikes(
    inner: Transformation, *, window: int = 128, sigmas: float = 6.0, max_in_a_row: int = 16
) -> GradientTransformationExtraArgs:
    """Leave out a step at a spike of the gradient's norm, or of the value: the update is zero, the inner state stays as it is.

        spike: x > mean + sigmas·max(std, |mean|/1000)        of the last `window` numbers, for x the norm and the value

    The value, such as the loss, is looked at if `update` gets it as `value=...`. Nothing is left out before a window is full.

    What is left out enters the window as if it were at the limit, so that one spike does not hide the next. A change that lasts
    is accepted: after `max_in_a_row` such steps the next one is taken, and counts as it is. A NaN is no spike, and enters no
    window: see `apply_if_finite`.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      inner: a transformation. It does not run in the steps left out.
      window: how many numbers a spike is told from.
      sigmas: how many standard deviations above the mean it is.
      max_in_a_row: how many steps in a row are left out.

    Raises:
      ValueError: `window` is less than 2, `sigmas` is not positive, `max_in_a_row` is less than 1, or `value` is no scalar.

    Conventions:
      Levanter and MaxText have a window of 128 and 6 standard deviations, too; Levanter looks at the loss alone.

    References:
      Levanter, 2025, https://github.com/marin-community/levanter
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> SkipSpikesState:
        dtype = working_dtype(jax.tree.leaves(params))
        in_a_row, total, norms_seen, values_seen = (jnp.zeros((), jnp.int32) for _ in range(4))
        norms, values = (jnp.zeros(window, dtype) for _ in range(2))
        return SkipSpikesState(in_a_row, total, norms, norms_seen, values, values_seen, inner.init(params))

    def limit(last: jax.Array, seen: Count) -> jax.Array:
        largest = jnp.max(jnp.abs(last))
        unit = jnp.where(largest > 0, largest, 1)  # so that no square overflows or vanishes
        mean = jnp.mean(last / unit)
        deviation = jnp.maximum(jnp.std(last / unit), _LEAST_DEVIATION * jnp.abs(mean))
        return jnp.where(seen < window, jnp.inf, unit * (mean + sigmas * deviation))

    def entered(x: jax.Array, last: jax.Array, seen: Count, skip: jax.Array) -> tuple[jax.Array, Count]:
        x = jnp.where(skip, jnp.minimum(x, limit(last, seen)), x)
        finite = jnp.isfinite(x)
        return jnp.where(finite, jnp.append(last[1:], x), last), jnp.where(finite & (seen < window), seen + 1, seen)

    @tells(precise=("norms", "values"), norm_of_all=True)
    @forwards_to(inner)
    @compiled
    def update(updates: Updates, state: SkipSpikesState, params: Params | None = None, *, value: Any = None, **extra_args: Any):
        norms, values = (state.norms, state.norms_seen), (state.values, state.values_seen)
        norm = tree.norm(updates).astype(state.norms.dtype)
        spike = norm > limit(*norms)
        if value is not None:
            require.scalar("value", value)
            extra_args["value"] = value
            value = jnp.asarray(value, state.values.dtype)
            spike |= value > limit(*values)
        skip = spike & (state.in_a_row < max_in_a_row)
        new_updates, inner_state = run_if(
            ~skip,
            lambda: inner.update(updates, state.inner_state, params, **extra_args),
            otherwise=lambda: (no_updates(inner, updates), state.inner_state),
        )
        return new_updates, SkipSpikesState(
            jnp.where(skip, safe_increment(state.in_a_row), 0),
            jnp.where(skip, safe_increment(state.total), state.total),
            *entered(norm, *norms, skip),
            *(values if value is None else entered(value, *values, skip)),
            inner_state,
        )

    return GradientTransformationExtraArgs(init, update)
