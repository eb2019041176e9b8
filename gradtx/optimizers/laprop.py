"""LaProp (Ziyin et al. 2020)."""

from jax.typing import DTypeLike

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.optimizers.rmsprop import scale_by_rms
from gradtx.transforms.momentum import weighted_ema
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


@factory
def laprop(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-15,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """LaProp: Adam that divides each gradient by its root mean square before it averages, so that b1 and b2 are independent.

        v ← b2·v + (1−b2)·|g|²              v̂ = v / (1−b2ᵗ)
        s ← b1·s + (1−b1)·η
        m ← b1·m + (1−b1)·η·g / (√v̂ + eps)
        Δp = −η·( m / s + weight_decay·p )

    Args:
      learning_rate: η, a number or a schedule; a gradient counts for as much in the mean as the rate of its step.
      b1: decay of the mean of the divided gradients.
      b2: decay of the mean square of the gradients.
      eps: added to the root.
      mu_dtype: dtype in which the mean is kept; by default that of the parameters, float32 at least.
      weight_decay, mask: as in `adamw`.

    Conventions:
      In the authors' code the decay comes after the step and is not multiplied by the learning rate:
      `chain(laprop(3e-4), decay_after_step(1.0, 1e-4))`. In timm it comes after the step too, multiplied by the rate.

    References:
      Ziyin, Wang and Ueda, LaProp: Separating Momentum and Adaptivity in Adam, 2020, https://arxiv.org/abs/2002.04839
    """
    return chain(
        scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True),
        weighted_ema(b1, learning_rate, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
