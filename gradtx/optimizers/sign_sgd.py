"""The sign of the gradient (Bernstein et al. 2018)."""

import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
    init_empty_state,
    tells,
)
from gradtx.require import DECAY
from gradtx.transforms.momentum import ema
from gradtx.transforms.scale import scale_by_learning_rate


@tree.lift
def _scale_by_sign(g):
    return jnp.sign(g)


@factory
def scale_by_sign() -> GradientTransformation:
    """The sign of each number: u = sign(g), for complex numbers g/|g|.

    References:
      Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, 2018, https://arxiv.org/abs/1802.04434
    """

    @tells(update_size=1.0)
    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        return _scale_by_sign(updates), state

    return GradientTransformation(init_empty_state, update)


@factory
def sign_sgd(learning_rate: ScalarOrSchedule) -> GradientTransformationExtraArgs:
    """Sign SGD: steps of one size, Δp = −η·sign(g).

    Args:
      learning_rate: η, a number or a schedule.

    References:
      Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, 2018, https://arxiv.org/abs/1802.04434
    """
    return chain(scale_by_sign(), scale_by_learning_rate(learning_rate))


@factory(beta=DECAY)
def signum(
    learning_rate: ScalarOrSchedule, beta: float = 0.9, accumulator_dtype: DTypeLike | None = None
) -> GradientTransformationExtraArgs:
    """Signum: steps along the sign of the mean of the gradient.

        m ← beta·m + (1−beta)·g
        Δp = −η·sign(m)

    Args:
      learning_rate: η, a number or a schedule.
      beta: decay of the mean.
      accumulator_dtype: dtype of the mean; by default that of the parameters, float32 at least.

    References:
      Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, 2018, https://arxiv.org/abs/1802.04434
    """
    mean = ema(beta, accumulator_dtype=accumulator_dtype)  # the sign does not feel the debiasing
    return chain(mean, scale_by_sign(), scale_by_learning_rate(learning_rate))
