"""Averages of the parameters, to evaluate a model at: exponential, Polyak's of all steps, or of some (SWA)."""

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
from gradtx.require import AT_LEAST_ONE, NONNEGATIVE, Range


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
    """Keep an average of the parameters beside any optimizer, whose steps stay as they are.

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

    @tells(decays={} if callable(rate) else {"average": ("1 − rate", 1 - rate)}, precise=("average",))
    @forwards_to(inner)
    def update(updates: Updates, state: AveragedState, params: Params, **extra_args: Any):
        updates, inner_state = inner.update(updates, state.inner_state, params, **extra_args)
        at_steps = if_stepped(inner, state.inner_state, inner_state)
        now = {"rate": at_steps(at_step(rate, state.count), 0), "overwrite": at_steps(overwritten(state.count), False)}
        updates, average = rule(updates, state.average, params, **now)
        return updates, AveragedState(at_steps(safe_increment(state.count), state.count), average, inner_state)

    return GradientTransformationExtraArgs(init, update)


@factory(begin=NONNEGATIVE)
def exponentially_averaged(
    inner: Transformation,
    decay: ScalarOrSchedule = 0.999,
    *,
    warmup: bool = True,
    begin: int = 0,
    accumulator_dtype: DTypeLike | None = None,
) -> GradientTransformationExtraArgs:
    """EMA: keep an exponential moving average of the parameters beside an optimizer, whose steps stay as they are.

        a ← d·a + (1−d)·p        d = min(decay, (1+t) / (10+t))        p: the parameters after step t = 1, 2, ...

    Evaluate the model at `eval_params(state, params)`. It begins at the first parameters, which the warm-up soon forgets: the
    average is as long as a tenth of the run until it is as long as `decay` has it. Around `MultiSteps`, as
    inside of it, the steps are those of its optimizer.

    Args:
      inner, accumulator_dtype: as in `averaged`.
      decay: of the average, in [0, 1), a number or a schedule.
      warmup: False leaves out the second argument of the minimum.
      begin: until so many steps the average is the parameters; t counts from there.

    Raises:
      ValueError: the decay is not in [0, 1), or `begin` is negative.

    Conventions:
      The warm-up is that of TensorFlow's `ExponentialMovingAverage`. PyTorch's `AveragedModel` has none, and begins at the
      parameters after the first step: `warmup=False, begin=1`.

    References:
      Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992, https://doi.org/10.1137/0330046
      Tarvainen and Valpola, Mean teachers are better role models, 2017, https://arxiv.org/abs/1703.01780
    """

    def rate(count: Any) -> Any:
        t = _steps_since(begin, count)
        rest = jnp.asarray(1 - at_step(decay, count), t.dtype)  # one minus the decay before it is a float32
        rest = jnp.maximum(rest, 9 / (10 + t)) if warmup else rest  # 1 − (1+t)/(10+t), without cancellation
        return jnp.where(t > 0, rest, 1)

    return _with_decay(averaged(inner, rate, accumulator_dtype=accumulator_dtype), "decay", decay)


@factory(begin=NONNEGATIVE)
def polyak_averaged(
    inner: Transformation, *, begin: int = 0, accumulator_dtype: DTypeLike | None = None
) -> GradientTransformationExtraArgs:
    """Polyak averaging: keep the mean of the parameters of all steps after the first `begin`; `inner` steps as without it.

        a ← a + (p − a) / (t − begin)        p: the parameters after step t = 1, 2, ...

    Evaluate the model at `eval_params(state, params)`. Until `begin` the average is the parameters.

    Args:
      inner, accumulator_dtype: as in `averaged`.
      begin: how many steps are left out.

    Raises:
      ValueError: `begin` is negative.

    References:
      Polyak and Juditsky, 1992, https://doi.org/10.1137/0330046
      Ruppert, 1988, https://ecommons.cornell.edu/handle/1813/8664
    """

    def rate(count: Any) -> Any:
        return 1 / jnp.maximum(_steps_since(begin, count), 1)

    return _with_decay(averaged(inner, rate, accumulator_dtype=accumulator_dtype), "1 − 1/t in the long run", 1.0)


@factory(begin=NONNEGATIVE, every=AT_LEAST_ONE)
def stochastic_weight_averaged(
    inner: Transformation, every: int, *, begin: int = 0, accumulator_dtype: DTypeLike | None = None
) -> GradientTransformationExtraArgs:
    """SWA: keep the mean of the parameters after every so many steps; `inner` steps as without it.

        a = mean of p(begin), p(begin + every), p(begin + 2·every), ...        p(t): the parameters after step t, p(0) the first

    Evaluate the model at `eval_params(state, params)`. Until `begin` the average is the parameters. The paper lets most of the
    training pass, and then averages at a high constant learning rate, or where those of a cyclic one are lowest. What a model
    knows of its data beside its parameters, such as the statistics of a batch normalization, is to be measured again for the
    average.

    Args:
      inner, accumulator_dtype: as in `averaged`.
      every: how many steps there are from one of the averaged parameters to the next, such as those of an epoch.
      begin: after how many steps the first are taken.

    Raises:
      ValueError: `every` is less than 1, or `begin` is negative.

    References:
      Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, 2018, https://arxiv.org/abs/1803.05407
    """

    def rate(count: Any) -> Any:
        # Whole numbers: in float32 the remainder of a count beyond 2²⁴ is wrong.
        t = jnp.maximum(safe_increment(count) - begin, 0)
        return jnp.where(t % every == 0, 1 / ((t // every).astype(float) + 1), 0)

    return averaged(inner, rate, accumulator_dtype=accumulator_dtype)


def _with_decay(made: GradientTransformationExtraArgs, name: str, decay: Any) -> GradientTransformationExtraArgs:
    """What `averaged` has made, which knows a rate alone, with the decay that this stands for."""
    tells(decays={"average": (name, decay)}, precise=("average",))(made.update)
    return made


def _steps_since(begin: Any, count: Any) -> Any:
    """How many steps there are from `begin` to the one that `count` steps precede, none before; a float."""
    return jnp.maximum(safe_increment(count) - begin, 0).astype(float)
