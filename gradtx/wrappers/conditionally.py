"""Apply a transformation in some steps only."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp

from gradtx.compiled import compiled, run_if
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    as_wide_as_updates_of,
    factory,
    forwards_to,
    keywords,
    no_updates,
    only,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment

ConditionFn: TypeAlias = Callable[..., Any]
"""A function of the number of steps taken, and maybe of extra arguments by keyword, that returns a bool."""


class ConditionallyTransformState(NamedTuple):
    """The inner state, and steps taken."""

    inner_state: OptState
    step: Count


class ConditionallyMaskState(NamedTuple):
    """Steps taken, and the inner state."""

    step: Count
    inner_state: OptState


@factory
def conditionally_transform(
    inner: Transformation, should_transform_fn: ConditionFn, forward_extra_args: bool = False
) -> GradientTransformationExtraArgs:
    """Apply `inner` in the steps that a function chooses; in all others updates pass as they are, and `inner` does not run.

    Args:
      inner: a transformation.
      should_transform_fn: a function of the number of steps taken (an int32 scalar, 0 at the first) that returns a bool.
      forward_extra_args: whether the function is given the extra arguments of `update`, too: those that it names.
    """
    return _conditionally(inner, should_transform_fn, forward_extra_args, as_wide_as_updates_of, ConditionallyTransformState)


@factory
def conditionally_mask(
    inner: Transformation, should_transform_fn: ConditionFn, forward_extra_args: bool = False
) -> GradientTransformationExtraArgs:
    """Apply `inner` in the steps that a function chooses; in all others updates are zero, and `inner` does not run.

    Args:
      inner, should_transform_fn, forward_extra_args: as in `conditionally_transform`.
    """
    return _conditionally(
        inner,
        should_transform_fn,
        forward_extra_args,
        no_updates,
        ConditionallyMaskState,
    )


def _conditionally(
    inner: Transformation,
    condition: ConditionFn,
    forward_extra_args: bool,
    otherwise: Callable[[Transformation, Updates], Updates],
    state_type: Callable[..., Any],
) -> GradientTransformationExtraArgs:
    inner = with_extra_args_support(inner)
    reads = keywords(condition, after=1) if forward_extra_args else frozenset()

    def init(params: Params) -> Any:
        return state_type(step=jnp.zeros((), jnp.int32), inner_state=inner.init(params))

    @forwards_to(inner, extra_args=reads)
    @compiled
    def update(updates: Updates, state: Any, params: Params | None = None, **extra_args: Any):
        new_updates, inner_state = run_if(
            condition(state.step, **only(reads, extra_args)),
            lambda: inner.update(updates, state.inner_state, params, **extra_args),
            otherwise=lambda: (otherwise(inner, updates), state.inner_state),
        )
        return new_updates, state_type(step=safe_increment(state.step), inner_state=inner_state)

    return GradientTransformationExtraArgs(init, update)
