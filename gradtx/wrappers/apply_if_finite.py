"""Leave out the steps whose gradients are not finite."""

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
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment


class ApplyIfFiniteState(NamedTuple):
    """Bad steps in a row, whether the last was good, bad steps in all, and the state of the inner transformation."""

    notfinite_count: Count
    last_finite: jax.Array
    total_notfinite: Count
    inner_state: OptState


@factory(max_consecutive_errors=require.NONNEGATIVE)
def apply_if_finite(
    inner: Transformation, max_consecutive_errors: int, *, axis_name: str | tuple[str, ...] | None = None
) -> GradientTransformationExtraArgs:
    """Leave out a step whose gradients hold an inf or a NaN: the update is zero and the inner state stays as it is.

    Only what comes in is looked at: an `inner` that makes a NaN of finite gradients is not stopped.

    Warning:
      After `max_consecutive_errors` bad steps in a row it gives up: the next bad gradients ARE APPLIED, and put their NaN into
      the state and the parameters, so that a broken run shows. To never give up, pass `jnp.iinfo(jnp.int32).max`.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      inner: a transformation. It does not run in the steps left out.
      max_consecutive_errors: how many bad steps in a row are left out.
      axis_name: inside of `shard_map` or `pmap`, the axes over which the updates are split, so that all devices leave out
        the same steps.

    Raises:
      ValueError: `max_consecutive_errors` is negative.
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> ApplyIfFiniteState:
        return ApplyIfFiniteState(
            notfinite_count=jnp.zeros((), jnp.int32),
            last_finite=jnp.ones((), bool),
            total_notfinite=jnp.zeros((), jnp.int32),
            inner_state=inner.init(params),
        )

    @forwards_to(inner)
    @compiled
    def update(updates: Updates, state: ApplyIfFiniteState, params: Params | None = None, **extra_args: Any):
        finite = tree.all_finite(updates, axis_name=axis_name)
        in_a_row = jnp.where(finite, 0, safe_increment(state.notfinite_count))
        new_updates, inner_state = run_if(
            finite | (in_a_row > max_consecutive_errors),
            lambda: inner.update(updates, state.inner_state, params, **extra_args),
            otherwise=lambda: (no_updates(inner, updates), state.inner_state),
        )
        total = jnp.where(finite, state.total_notfinite, safe_increment(state.total_notfinite))
        return new_updates, ApplyIfFiniteState(in_a_row, finite, total, inner_state)

    return GradientTransformationExtraArgs(init, update)
