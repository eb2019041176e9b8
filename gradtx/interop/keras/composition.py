"""What all of Keras's optimizers share: the arguments of their base class, and the order in which these are applied."""

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypedDict, TypeVar

import jax.numpy as jnp

from gradtx import require
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    ScalarOrSchedule,
    Transformation,
    Updates,
    at_step,
    chain,
    factory,
    forwards_to,
    set_to_zero,
)
from gradtx.schedules.formula import FRACTION, schedule
from gradtx.transforms.clipping import clip, clip_by_block_norm, clip_by_global_norm
from gradtx.transforms.scale import scale, scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask
from gradtx.wrappers.consecutive import consecutive
from gradtx.wrappers.multi_steps import MultiSteps
from gradtx.wrappers.weight_averaging import averaged

_P = ParamSpec("_P")
_R = TypeVar("_R")

_RANGES = {
    "beta_1": require.DECAY,
    "beta_2": require.DECAY,
    "rho": require.DECAY,
    "epsilon": require.NONNEGATIVE,
    "clipnorm": require.LIMIT,
    "clipvalue": require.LIMIT,
    "global_clipnorm": require.LIMIT,
    "ema_momentum": FRACTION,
    "ema_overwrite_frequency": require.AT_LEAST_ONE,
    "loss_scale_factor": require.POSITIVE,
    "gradient_accumulation_steps": require.Range(low=2),
}


class Options(TypedDict, total=False):
    """The arguments that each of Keras's optimizers has besides its own, all by keyword here. In this order:

        g ← g / loss_scale_factor
        g ← the mean over gradient_accumulation_steps, and only then:
        g ← g, clipped
        p ← p − learning_rate·weight_decay·p        of each optimizer; the descent starts where this has led
        p ← p + Δp                                  what the optimizer says
        a ← p at first, then ema_momentum·a + (1−ema_momentum)·p

    `learning_rate` is a number or a schedule. While gradients are accumulated, a schedule counts each of them, and a step is
    taken at the rate of the last; all else, such as bias corrections, counts the steps. `weight_decay` is decoupled, multiplied
    by the learning rate; None is no decay.

    Args:
      clipnorm: the largest norm of the gradient of each parameter by itself.
      clipvalue: the largest magnitude of a coordinate of the gradient.
      global_clipnorm: the largest norm of the whole gradient. One that is not finite passes as it is, where Keras makes all of
        it NaN. Only one of the three can be given.
      use_ema: whether to keep an average of the parameters, in `state.average`, to which Keras's `fit` moves them in the end.
      ema_momentum: weight of the past in that average, 0.99 by default. While gradients are accumulated, it decays at each.
      ema_overwrite_frequency: after every so many steps the parameters are moved to the average; while gradients are
        accumulated, at each of those that belong to such a step.
      loss_scale_factor: what the loss was multiplied by.
      gradient_accumulation_steps: how many gradients make a step, at least 2; None for one.
      mask: which parameters decay, see `gradtx.add_decayed_weights`, where Keras has `exclude_from_weight_decay`.

    Raises:
      ValueError: a number of an optimizer is out of its range, or several kinds of clipping are asked for.
    """

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    mask: Mask | None


def composed(
    descent: Callable[[ScalarOrSchedule], GradientTransformation],
    learning_rate: ScalarOrSchedule,
    weight_decay: float | None = None,
    *,
    clipnorm: float | None = None,
    clipvalue: float | None = None,
    global_clipnorm: float | None = None,
    use_ema: bool = False,
    ema_momentum: float = 0.99,
    ema_overwrite_frequency: int | None = None,
    loss_scale_factor: float | None = None,
    gradient_accumulation_steps: int | None = None,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """Make an optimizer of its descent, which is a function of the learning rate, its weight decay and the `Options`."""
    accumulated = gradient_accumulation_steps or 1
    rate = _at_the_last_of(accumulated, learning_rate) if accumulated > 1 and callable(learning_rate) else learning_rate
    tx = chain(
        *([] if loss_scale_factor is None else [scale(1 / loss_scale_factor)]),
        *_clipping(clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm),
        decaying(descent(rate), rate, weight_decay, mask),
    )
    if accumulated > 1:
        tx = _counting_gradients(MultiSteps(tx, accumulated, accumulator_dtype=None))
    return _averaged(tx, ema_momentum, ema_overwrite_frequency, accumulated) if use_ema else tx


def optimizer(**ranges: require.Range) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Make a function with `**options: Unpack[Options]` a factory, as `factory` does, whose signature shows the options."""
    shared = [p for name, p in inspect.signature(composed).parameters.items() if name in Options.__annotations__]

    def make(build: Callable[_P, _R]) -> Callable[_P, _R]:
        signature = inspect.signature(build)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        shown = sorted([*own, *shared], key=lambda p: p.kind)
        vars(build)["__signature__"] = signature.replace(parameters=shown)
        return factory(**_RANGES, **ranges)(build)

    return make


def decaying(
    descent: GradientTransformation, learning_rate: ScalarOrSchedule, weight_decay: float | None, mask: Mask | None
) -> GradientTransformation:
    """Let the parameters decay, and descend from there."""
    if weight_decay is None:
        return descent
    decay = chain(set_to_zero(), add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
    return consecutive(decay, descent)


def _clipping(**bounds: Any) -> list[GradientTransformation]:
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    if len(given) > 1:
        raise ValueError(f"an optimizer of Keras takes one of {', '.join(bounds)} at most, got {' and '.join(given)}.")
    clips = {"clipnorm": clip_by_block_norm, "clipvalue": clip, "global_clipnorm": clip_by_global_norm}
    return [clips[name](bound) for name, bound in given.items()]


def _at_the_last_of(accumulated: int, learning_rate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A schedule of the gradients as one of the steps, each of which has so many."""
    last_countable = (2**31 - 1) // accumulated - 1

    @schedule
    def rate(count):
        return at_step(learning_rate, jnp.minimum(count, last_countable) * accumulated + (accumulated - 1))

    return rate


def _counting_gradients(tx: GradientTransformationExtraArgs) -> GradientTransformationExtraArgs:
    """What gathers gradients, with a step for each of them: so Keras's average counts, also those that only wait."""

    @forwards_to(tx, states=lambda state: (state,), steps=lambda state: state.mini_step)
    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        return tx.update(updates, state, params, **extra_args)

    return GradientTransformationExtraArgs(tx.init, update)


def _averaged(
    tx: Transformation, momentum: float, overwrite_frequency: int | None, accumulated: int
) -> GradientTransformationExtraArgs:
    @schedule
    def rate(count):
        return jnp.where(count < accumulated, 1, 1 - momentum)

    def overwritten(count: Any) -> Any:
        return (count // accumulated + 1) % overwrite_frequency == 0

    return averaged(tx, rate, overwrite_every=None if overwrite_frequency is None else overwritten)
