"""RMSProp (Hinton 2012), and its centered form (Graves 2013)."""

from typing import NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
    identity,
    tells,
)
from gradtx.numerics import Count, abs_sq, bounded_square, debias, safe_increment, safe_sqrt, squarable
from gradtx.transforms.momentum import trace
from gradtx.transforms.scale import scale_by_learning_rate


class ScaleByRmsState(NamedTuple):
    """Mean of the square of the gradient."""

    nu: Updates


class ScaleByRmsWithCountState(NamedTuple):
    """Steps taken, mean of the square of the gradient."""

    count: Count
    nu: Updates


class ScaleByRStdDevState(NamedTuple):
    """Mean of the gradient, mean of its square."""

    mu: Updates
    nu: Updates


class ScaleByRStdDevWithCountState(NamedTuple):
    """Steps taken, mean of the gradient, mean of its square."""

    count: Count
    mu: Updates
    nu: Updates


@factory
def scale_by_rms(
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """RMSProp's rescaling: the gradient over the root of the mean of its square.

        v ← decay·v + (1−decay)·|g|²
        u = g / √(v + eps)       or, without `eps_in_sqrt`, u = g / (√v + eps)

    With `bias_correction`, v is divided by 1−decayᵗ in the last line, and the state counts the steps.

    Args:
      decay: weight of the past in the mean.
      eps: bounds the step where gradients vanish.
      initial_scale: v at the start.
      eps_in_sqrt: whether eps is inside of the root (as in TensorFlow and Keras) or outside (as in PyTorch).
      bias_correction: whether to divide the mean by the weight accumulated so far.

    References:
      Hinton, Neural Networks for Machine Learning, lecture 6, 2012,
        https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
    """

    @tree.lift
    def rule(g, v, *, weight):
        v = decay * v + (1 - decay) * bounded_square(g)
        return _divided(squarable(g), v / weight if bias_correction else v, eps, eps_in_sqrt), v

    def init(params: Params) -> ScaleByRmsState | ScaleByRmsWithCountState:
        nu = tree.moment_like(params, fill_value=initial_scale, real=True)
        return ScaleByRmsWithCountState(jnp.zeros((), jnp.int32), nu) if bias_correction else ScaleByRmsState(nu)

    @tells(update_size=1.0)
    def update(updates: Updates, state: ScaleByRmsState | ScaleByRmsWithCountState, params: Params | None = None):
        count = _next_count(state)
        updates, nu = rule(updates, state.nu, weight=_weight(decay, count))
        return updates, state._replace(nu=nu, **count)

    return GradientTransformation(init, update)


@factory
def scale_by_stddev(
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Centered RMSProp's rescaling: the gradient over its standard deviation.

        m ← decay·m + (1−decay)·g
        v ← decay·v + (1−decay)·|g|²
        u = g / √(v − |m|² + eps)       or, without `eps_in_sqrt`, u = g / (√(v − |m|²) + eps)

    The variance is at least the rounding error of v, so that a gradient that does not vary is divided by a part of its own
    size. With `bias_correction`, m and v are divided by 1−decayᵗ in the last line, and the state counts the steps.

    Args:
      decay, initial_scale, eps_in_sqrt, bias_correction: as in `scale_by_rms`.
      eps: bounds the step where the gradient does not vary.

    References:
      Graves, Generating Sequences With Recurrent Neural Networks, 2013, https://arxiv.org/abs/1308.0850
    """

    @tree.lift
    def rule(g, m, v, *, weight):
        g = squarable(g)
        m = decay * m + (1 - decay) * g
        v = decay * v + (1 - decay) * abs_sq(g)
        mean, mean_square = (m / weight, v / weight) if bias_correction else (m, v)
        # Less than rounding leaves of a mean square is not known to be a variance.
        variance = jnp.maximum(mean_square - abs_sq(mean), float(jnp.finfo(mean_square.dtype).eps) * mean_square)
        return _divided(g, variance, eps, eps_in_sqrt), m, v

    def init(params: Params) -> ScaleByRStdDevState | ScaleByRStdDevWithCountState:
        mu = tree.moment_like(params)
        nu = tree.moment_like(params, fill_value=initial_scale, real=True)
        if bias_correction:
            return ScaleByRStdDevWithCountState(jnp.zeros((), jnp.int32), mu, nu)
        return ScaleByRStdDevState(mu, nu)

    def update(updates: Updates, state: ScaleByRStdDevState | ScaleByRStdDevWithCountState, params: Params | None = None):
        count = _next_count(state)
        updates, mu, nu = rule(updates, state.mu, state.nu, weight=_weight(decay, count))
        return updates, state._replace(mu=mu, nu=nu, **count)

    return GradientTransformation(init, update)


def _divided(g, square, eps, eps_in_sqrt):
    return g / safe_sqrt(square + eps) if eps_in_sqrt else g / (safe_sqrt(square) + eps)


def _next_count(state) -> dict[str, Count]:
    """The field `count`, one step on, of a state that has it."""
    return {"count": safe_increment(state.count)} if "count" in state._fields else {}


def _weight(decay, count: dict[str, Count]):
    return debias(decay, count["count"]) if count else 1.0


@factory
def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: float | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformationExtraArgs:
    """RMSProp: the gradient divided by its recent root mean square.

        v ← decay·v + (1−decay)·|g|²
        Δp = −η·g / √(v + eps)

    Args:
      learning_rate: η, a number or a schedule.
      decay, eps, initial_scale, eps_in_sqrt, bias_correction: as in `scale_by_rms`.
      centered: whether to divide by the standard deviation: √(v − m² + eps), with m the mean of the gradient.
      momentum, nesterov: as in `sgd`.

    Conventions:
      eps is inside of the root, as in Keras; outside in PyTorch (`eps_in_sqrt=False`), whose decay is 0.99. Momentum sums steps
      that have their learning rate, as in Keras; in PyTorch the sum comes first, which differs where the learning rate changes.
      Exactly theirs are `interop.torch.rmsprop` and `interop.keras.rmsprop`.

    References:
      Hinton, 2012, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
      Graves, 2013, https://arxiv.org/abs/1308.0850
    """
    rescale = scale_by_stddev if centered else scale_by_rms
    return chain(
        rescale(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        identity() if momentum is None else trace(momentum, nesterov),
    )
