"""AdaBound and AMSBound (Luo et al. 2019): Adam whose steps are squeezed towards those of SGD."""

from typing import Any

import jax.numpy as jnp
from jax.core import Tracer

from gradtx import require, tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    at_step,
    chain,
    factory,
    tells,
)
from gradtx.errors import unnamed
from gradtx.numerics import abs_sq, debias, safe_increment, safe_sqrt, squarable
from gradtx.optimizers.adam import ScaleByAdamState, init_adam_state
from gradtx.optimizers.amsgrad import ScaleByAmsgradState, init_amsgrad_state
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


@factory(gamma=require.POSITIVE, final_scale=require.POSITIVE)
def scale_by_adabound(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, *, final_scale: float = 100.0, gamma: float = 1e-3
) -> GradientTransformation:
    """AdaBound's rescaling: Adam's, with each coordinate's factor clipped between bounds that close in on one number.

        m ← b1·m + (1−b1)·g
        v ← b2·v + (1−b2)·|g|²
        u = clip( √(1−b2ᵗ)/(1−b1ᵗ) / (√v + eps), lower, upper ) · m
        lower = final_scale·(1 − 1/(gamma·t + 1))        upper = final_scale·(1 + 1/(gamma·t))

    Args:
      b1, b2: as in `scale_by_adam`.
      eps: added to the root of v as it is, before its bias is corrected.
      final_scale: the number the bounds close in on: the final learning rate (of SGD) over the learning rate (of Adam).
      gamma: how fast they do; after 1/gamma steps they are at ½ and 2 of it.

    References:
      Luo, Xiong, Liu and Sun, Adaptive Gradient Methods with Dynamic Bound of Learning Rate, 2019,
        https://arxiv.org/abs/1902.09843; the formula is that of the authors' code, which corrects the bias of the means
        and, unlike the text, does not divide the step by √t.
    """

    @tree.lift
    def rule(g, m, v, *, correction, lower, upper):
        g = squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        return jnp.clip(correction / (safe_sqrt(v) + eps), lower, upper) * m, m, v

    def init(params: Params) -> ScaleByAdamState:
        return init_adam_state(params)

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)})
    def update(updates: Updates, state: ScaleByAdamState, params: Params | None = None):
        count = safe_increment(state.count)
        scalars = _bounds(b1, b2, final_scale, gamma, count)
        updates, mu, nu = rule(updates, state.mu, state.nu, **scalars)
        return updates, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


@factory(gamma=require.POSITIVE, final_scale=require.POSITIVE)
def scale_by_amsbound(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, *, final_scale: float = 100.0, gamma: float = 1e-3
) -> GradientTransformation:
    """AMSBound's rescaling: `scale_by_adabound` with the largest v so far instead of v.

        w ← max(w, v)
        u = clip( √(1−b2ᵗ)/(1−b1ᵗ) / (√w + eps), lower, upper ) · m

    Args:
      b1, b2, eps, final_scale, gamma: as in `scale_by_adabound`.

    References:
      Luo, Xiong, Liu and Sun, 2019, https://arxiv.org/abs/1902.09843
    """

    @tree.lift
    def rule(g, m, v, v_max, *, correction, lower, upper):
        g = squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        v_max = jnp.maximum(v_max, v)
        return jnp.clip(correction / (safe_sqrt(v_max) + eps), lower, upper) * m, m, v, v_max

    def init(params: Params) -> ScaleByAmsgradState:
        return init_amsgrad_state(params)

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)})
    def update(updates: Updates, state: ScaleByAmsgradState, params: Params | None = None):
        count = safe_increment(state.count)
        scalars = _bounds(b1, b2, final_scale, gamma, count)
        updates, mu, nu, nu_max = rule(updates, state.mu, state.nu, state.nu_max, **scalars)
        return updates, ScaleByAmsgradState(count, mu, nu, nu_max)

    return GradientTransformation(init, update)


def _bounds(b1, b2, final_scale, gamma, count):
    steps = count.astype(float)
    final_scale, gamma = (jnp.asarray(x).astype(steps.dtype) for x in (final_scale, gamma))
    steps = gamma * steps
    return {
        "correction": jnp.sqrt(debias(b2, count)) / debias(b1, count),
        "lower": final_scale * (steps / (steps + 1)),  # 1 − 1/(steps + 1), which would cancel at first
        "upper": final_scale * (1 + 1 / steps),
    }


@factory(final_learning_rate=require.POSITIVE, base_learning_rate=require.POSITIVE)
def adabound(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    final_learning_rate: float = 0.1,
    gamma: float = 1e-3,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
    *,
    base_learning_rate: float | None = None,
) -> GradientTransformationExtraArgs:
    """AdaBound: Adam at first and SGD at the end, as the rate of each coordinate is clipped between closing bounds.

        f = final_learning_rate·η/η₀
        Δp = −clip( η·√(1−b2ᵗ)/(1−b1ᵗ) / (√v + eps), f·(1 − 1/(gamma·t+1)), f·(1 + 1/(gamma·t)) )·m − η·weight_decay·p

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, gamma: as in `scale_by_adabound`, with its means m and v.
      final_learning_rate: rate of SGD that the bounds close in on.
      weight_decay, mask: as in `adamw`.
      base_learning_rate: η₀, what `final_learning_rate` belongs to; by default the learning rate, or its schedule at 0.

    Raises:
      ValueError: the schedule starts at 0, and no base learning rate is given.

    References:
      Luo, Xiong, Liu and Sun, 2019, https://arxiv.org/abs/1902.09843
    """
    final_scale = _final_scale(learning_rate, final_learning_rate, base_learning_rate)
    return chain(
        scale_by_adabound(b1, b2, eps, final_scale=final_scale, gamma=gamma),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@factory(final_learning_rate=require.POSITIVE, base_learning_rate=require.POSITIVE)
def amsbound(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    final_learning_rate: float = 0.1,
    gamma: float = 1e-3,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
    *,
    base_learning_rate: float | None = None,
) -> GradientTransformationExtraArgs:
    """AMSBound: `adabound` with the largest v so far instead of v, as in `amsgrad`.

    Args:
      learning_rate, b1, b2, eps, final_learning_rate, gamma, weight_decay, mask, base_learning_rate: as in `adabound`.

    References:
      Luo, Xiong, Liu and Sun, 2019, https://arxiv.org/abs/1902.09843
    """
    final_scale = _final_scale(learning_rate, final_learning_rate, base_learning_rate)
    return chain(
        scale_by_amsbound(b1, b2, eps, final_scale=final_scale, gamma=gamma),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def _final_scale(learning_rate: ScalarOrSchedule, final: float, base: float | None) -> Any:
    """The final learning rate in units of the base one: bounds that follow the schedule need no more."""
    start: Any = base
    if start is None:
        start = at_step(learning_rate, jnp.zeros((), jnp.int32))
    if not isinstance(start, Tracer) and start == 0:
        raise unnamed(ValueError, "the learning rate starts at 0; give the base_learning_rate that the final one belongs to.")
    return final / start
