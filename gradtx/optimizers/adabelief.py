"""AdaBelief (Zhuang et al. 2020)."""

from typing import NamedTuple

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
from gradtx.numerics import Count, abs_sq, safe_increment, safe_sqrt, squarable
from gradtx.optimizers.adam import bias_corrections, debias_mean, init_adam_state
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


class ScaleByBeliefState(NamedTuple):
    """Steps taken, mean of the gradient, mean of the square of its deviation from that mean."""

    count: Count
    mu: Updates
    nu: Updates


@factory
def scale_by_belief(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-16, eps_root: float = 1e-16, *, nesterov: bool = False
) -> GradientTransformation:
    """AdaBelief's rescaling: the mean of the gradient over its deviation from that mean; predicted gradients make long steps.

        m ← b1·m + (1−b1)·g                          m̂ = m / (1−b1ᵗ)
        v ← b2·v + (1−b2)·|g − m|² + eps_root        v̂ = v / (1−b2ᵗ)
        u = m̂ / (√v̂ + eps)

    Args:
      b1: decay of the mean of the gradient.
      b2: decay of the mean square of its deviation.
      eps: added outside of the root.
      eps_root: added to v at every step, and kept.
      nesterov: whether to use Nesterov's momentum, as in `scale_by_adam`.

    References:
      Zhuang et al., AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients, 2020,
        https://arxiv.org/abs/2010.07468
    """

    @tree.lift
    def rule(g, m, v, *, debias1, next_debias1, debias2):
        g = squarable(g)
        m = b1 * m + (1 - b1) * g
        # A sum of two arrays at the end: see `added_finitely`.
        v = b2 * v + ((1 - b2) * abs_sq(g - m) + eps_root)
        return debias_mean(g, m, b1, debias1, next_debias1, nesterov) / (safe_sqrt(v / debias2) + eps), m, v

    def init(params: Params) -> ScaleByBeliefState:
        return ScaleByBeliefState(*init_adam_state(params))

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)})
    def update(updates: Updates, state: ScaleByBeliefState, params: Params | None = None):
        count = safe_increment(state.count)
        updates, mu, nu = rule(updates, state.mu, state.nu, **bias_corrections(b1, b2, count))
        return updates, ScaleByBeliefState(count, mu, nu)

    return GradientTransformation(init, update)


@factory
def adabelief(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    weight_decay: ScalarOrSchedule | None = None,
    weight_decay_mask: Mask | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """AdaBelief: Adam with the deviation of the gradient from its mean instead of the mean square.

        Δp = −η·( m̂ / (√v̂ + eps) + weight_decay·p )        m̂ and v̂ of `scale_by_belief`

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, eps_root, nesterov: as in `scale_by_belief`.
      weight_decay, weight_decay_mask: as `weight_decay` and `mask` of `adamw`; None for no decay.

    Conventions:
      As in the authors' package, adabelief-pytorch, and in timm, with `rectify=False`; their one eps is both `eps` and
      `eps_root`. Their default, `rectify=True`, has the warm-up of `radam` as well.

    References:
      Zhuang et al., 2020, https://arxiv.org/abs/2010.07468
    """
    decay = [] if weight_decay is None else [add_decayed_weights(weight_decay, weight_decay_mask)]
    return chain(scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov), *decay, scale_by_learning_rate(learning_rate))
