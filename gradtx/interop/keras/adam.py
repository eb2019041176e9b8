"""keras.optimizers.Adam and AdamW."""

from typing import Unpack

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.optimizers.adam import scale_by_adam
from gradtx.optimizers.amsgrad import scale_by_amsgrad
from gradtx.transforms.scale import scale_by_learning_rate


@optimizer()
def adam(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's Adam does.

        Δp = −learning_rate · √(1−beta_2ᵗ)/(1−beta_1ᵗ) · m / (√v + epsilon)        means m and v of `scale_by_adam`

    The epsilon is added before the bias of v is corrected (`debias_eps`), and 1e-7: where gradients are as small, the first
    steps are shorter by up to √(1−beta_2) than those of gradtx and PyTorch. With `amsgrad`, v is the largest so far, as in
    PyTorch; Optax's `amsgrad` corrects the bias before it takes the largest.

    Args:
      learning_rate, **options: see `Options`.
      beta_1: decay of the mean of the gradient.
      beta_2: decay of the mean of its square.
      epsilon: added outside of the root, before the correction.
      amsgrad: whether to divide by the largest mean so far.
      weight_decay: see `Options`: that of AdamW.
    """
    direction = (scale_by_amsgrad if amsgrad else scale_by_adam)(beta_1, beta_2, epsilon, debias_eps=True)
    return composed(lambda rate: chain(direction, scale_by_learning_rate(rate)), learning_rate, weight_decay, **options)


@optimizer()
def adamw(
    learning_rate: ScalarOrSchedule = 0.001,
    weight_decay: float = 0.004,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's AdamW does: `adam` with a weight decay of 0.004; 0.0001 in Optax, 0.01 in PyTorch.

    Args:
      learning_rate, weight_decay, **options: see `Options`.
      beta_1, beta_2, epsilon, amsgrad: see `adam`.
    """
    return adam(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, **options)
