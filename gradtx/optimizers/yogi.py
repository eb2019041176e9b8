"""Yogi (Zaheer et al. 2018)."""

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
    tells,
)
from gradtx.numerics import abs_sq, debias, safe_increment, safe_sqrt, squarable
from gradtx.optimizers.adam import ScaleByAdamState
from gradtx.transforms.scale import scale_by_learning_rate


@factory
def scale_by_yogi(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-3,
    eps_root: float = 0.0,
    initial_accumulator_value: float = 1e-6,
) -> GradientTransformation:
    """Yogi's rescaling: Adam's, with a mean square that moves by at most (1−b2)·|g|² a step, up or down.

        m ← b1·m + (1−b1)·g                      m̂ = m / (1−b1ᵗ)
        v ← v − (1−b2)·sign(v − |g|²)·|g|²       v̂ = v / (1−b2ᵗ)
        u = m̂ / (√(v̂ + eps_root) + eps)

    Args:
      b1: decay of the mean of the gradient.
      b2: 1−b2 is the rate at which v follows the square of the gradient.
      eps, eps_root: as in `scale_by_adam`.
      initial_accumulator_value: m and v at the start.

    References:
      Zaheer et al., Adaptive Methods for Nonconvex Optimization, 2018,
        https://papers.nips.cc/paper/2018/hash/90365351ccc7437a1309dc64e4db32a3-Abstract.html
    """

    @tree.lift
    def rule(g, m, v, *, debias1, debias2):
        g = squarable(g)
        square = abs_sq(g)
        m = b1 * m + (1 - b1) * g
        v = v - (1 - b2) * jnp.sign(v - square) * square
        return m / debias1 / (safe_sqrt(v / debias2 + eps_root) + eps), m, v

    def init(params: Params) -> ScaleByAdamState:
        mu = tree.moment_like(params, fill_value=initial_accumulator_value)
        nu = tree.moment_like(params, fill_value=initial_accumulator_value, real=True)
        return ScaleByAdamState(jnp.zeros((), jnp.int32), mu, nu)

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)})
    def update(updates: Updates, state: ScaleByAdamState, params: Params | None = None):
        count = safe_increment(state.count)
        updates, mu, nu = rule(updates, state.mu, state.nu, debias1=debias(b1, count), debias2=debias(b2, count))
        return updates, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


@factory
def yogi(
    learning_rate: ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-3
) -> GradientTransformationExtraArgs:
    """Yogi: Adam with a mean square that changes by at most (1−b2)·|g|² a step.

        Δp = −η·m̂ / (√v̂ + eps)        m̂ and v̂ of `scale_by_yogi`

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps: as in `scale_by_yogi`.

    References:
      Zaheer et al., 2018, https://papers.nips.cc/paper/2018/hash/90365351ccc7437a1309dc64e4db32a3-Abstract.html
    """
    return chain(scale_by_yogi(b1, b2, eps), scale_by_learning_rate(learning_rate))
