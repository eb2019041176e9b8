"""MARS (Yuan et al. 2024): gradients corrected by their change, for AdamW and Lion."""

from typing import NamedTuple

from jax.typing import DTypeLike

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
from gradtx.optimizers.adam import scale_by_adam
from gradtx.optimizers.sign_sgd import scale_by_sign
from gradtx.require import NONNEGATIVE
from gradtx.transforms.clipping import clip_by_block_norm
from gradtx.transforms.momentum import ema
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


class CorrectByLastGradientState(NamedTuple):
    """The gradient of the step before."""

    last_gradient: Updates


@factory(gamma=NONNEGATIVE)
def correct_by_last_gradient(gamma: float = 0.025, decay: float = 0.95) -> GradientTransformation:
    """MARS's correction: add to the gradient a multiple of its change, which takes noise out of a mean that lags behind.

        u = gₜ + gamma·decay/(1−decay)·(gₜ − gₜ₋₁)        g₀ = 0

    It comes first in a chain, before what takes the mean. The authors clip the norm of each array to 1 after it, and take each
    gradient once, as here: this is MARS-approx, where gₜ₋₁ is the gradient of the last batch at the last parameters.

    Args:
      gamma: how much of the change counts.
      decay: of the mean that follows.

    Raises:
      ValueError: `gamma` is negative, or `decay` is not in [0, 1).

    Conventions:
      Before the first step the last gradient is 0, as in the authors' code. In timm it is the first gradient, which then is not
      corrected: the same after the clip, unless the norm is below 1.

    References:
      Yuan et al., MARS: Unleashing the Power of Variance Reduction for Training Large Models, 2024,
        https://arxiv.org/abs/2411.10438
    """

    @tree.lift
    def rule(g, last):
        return g + gamma * decay / (1 - decay) * (g - last), g

    def init(params: Params) -> CorrectByLastGradientState:
        return CorrectByLastGradientState(tree.moment_like(params))

    @tells(precise=("last_gradient",))
    def update(updates: Updates, state: CorrectByLastGradientState, params: Params | None = None):
        updates, last_gradient = rule(updates, state.last_gradient)
        return updates, CorrectByLastGradientState(last_gradient)

    return GradientTransformation(init, update)


@factory(gamma=NONNEGATIVE)
def mars_adamw(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.95,
    b2: float = 0.99,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    gamma: float = 0.025,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """MARS-AdamW: AdamW of gradients that are corrected by their change, and clipped.

        c = gₜ + gamma·b1/(1−b1)·(gₜ − gₜ₋₁)        c ← c / max(1, ‖c‖), array by array
        Δp = −η·( m̂ / (√(v̂ + eps_root) + eps) + weight_decay·p )        means of c, as in `scale_by_adam`

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, eps_root, mu_dtype: as in `scale_by_adam`.
      gamma: as in `correct_by_last_gradient`.
      weight_decay, mask: as in `adamw`.

    Conventions:
      By default the authors' code does so for matrices alone, and takes AdamW for arrays of one axis, or of more than two:
      `partition({"matrices": mars_adamw(3e-3), "others": adamw(3e-3)}, labels)`.

    References:
      Yuan et al., 2024, https://arxiv.org/abs/2411.10438
    """
    return chain(
        correct_by_last_gradient(gamma, b1),
        clip_by_block_norm(1.0),
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@factory(gamma=NONNEGATIVE)
def mars_lion(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.95,
    mu_dtype: DTypeLike | None = None,
    gamma: float = 0.025,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """MARS-Lion: the sign of the mean of gradients that are corrected by their change, and clipped.

        c = gₜ + gamma·b1/(1−b1)·(gₜ − gₜ₋₁)        c ← c / max(1, ‖c‖), array by array
        m ← b1·m + (1−b1)·c
        Δp = −η·( sign(m) + weight_decay·p )

    Unlike Lion it has one decay: the correction stands for the second.

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean.
      mu_dtype: dtype in which the mean is kept; by default that of the parameters, float32 at least.
      gamma: as in `correct_by_last_gradient`.
      weight_decay, mask: as in `adamw`.

    References:
      Yuan et al., 2024, https://arxiv.org/abs/2411.10438
    """
    return chain(
        correct_by_last_gradient(gamma, b1),
        clip_by_block_norm(1.0),
        ema(b1, debias=False, accumulator_dtype=mu_dtype),
        scale_by_sign(),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
