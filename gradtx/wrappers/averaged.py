"""An average of the parameters beside the parameters (Ruppert 1988; Polyak & Juditsky 1992)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike

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
from gradtx.require import AT_LEAST_ONE, Range


class AveragedState(NamedTuple):
    """Steps taken, average of the parameters, state of the inner transformation."""

    count: Count
    average: Params
    inner_state: OptState


@factory(rate=Range(low=0, high=1), overwrite_every=AT_LEAST_ONE)
def averaged(
    inner: Transformation,
    rate: ScalarOrSchedule,
    *,
    overwrite_every: int | Callable[[Count], Any] | None = None,
    accumulator_dtype: DTypeLike | None = None,
) -> GradientTransformationExtraArgs:
    """Keep an average of the parameters, which `inner` moves as without it.

        a ← a + rate(t)·(p − a)        p: the parameters after the step; t = 0 at the first

    The average begins at the first parameters; it is `state.average`, and `eval_params(state, params)` finds it wherever the
    wrapper is. A constant rate is an exponential moving average of decay 1 − rate; a rate of 1/(t+1) the mean of all steps, of
    which a rate of 1 until some step forgets the beginning. `exponentially_averaged`, `polyak_averaged` and
    `stochastic_weight_averaged` have the usual rates. Around `MultiSteps` the steps are those of its optimizer: a mini-step
    that only gathers gradients leaves the average as it is.

    Args:
      inner: a transformation whose updates are added to the parameters: place the wrapper around the whole optimizer.
      rate: weight of the newest parameters, in [0, 1], a number or a schedule.
      overwrite_every: after every so many steps the parameters are moved to the average; or a function of the step, 0 at the
        first, that says whether they are after it.
      accumulator_dtype: dtype of the average; by default that of the parameters, float32 at least.

    Raises:
      ValueError: the rate is not in [0, 1], or `overwrite_every` is less than 1.

    References:
      Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992, https://doi.org/10.1137/0330046
      Ruppert, Efficient Estimations from a Slowly Convergent Robbins-Monro Process, 1988,
        https://ecommons.cornell.edu/handle/1813/8664
    """
    inner = with_extra_args_support(inner)
    tree.check_moment_dtype(accumulator_dtype)

    @tree.lift
    def rule(u, a, p, *, rate, overwrite):
        a = a + rate * (p + u - a)
        return u if overwrite_every is None else jnp.where(overwrite, a - p, u), a

    def overwritten(count: Count) -> Any:
        if overwrite_every is None:
            return False
        return at_step(overwrite_every, count) if callable(overwrite_every) else safe_increment(count) % overwrite_every == 0

    def init(params: Params) -> AveragedState:
        average = tree.copy_of(params, accumulator_dtype)
        return AveragedState(jnp.zeros((), jnp.int32), average, inner.init(params))

    @tells(decays={} if callable(rate) else {"average": ("1 − rate", 1 - rate)})
    @forwards_to(inner)
    def update(updates: Updates, state: AveragedState, params: Params, **extra_args: Any):
        updates, inner_state = inner.update(updates, state.inner_state, params, **extra_args)
        at_steps = if_stepped(inner, state.inner_state, inner_state)
        now = {"rate": at_steps(at_step(rate, state.count), 0), "overwrite": at_steps(overwritten(state.count), False)}
        updates, average = rule(updates, state.average, params, **now)
        return updates, AveragedState(at_steps(safe_increment(state.count), state.count), average, inner_state)

    return GradientTransformationExtraArgs(init, update)
