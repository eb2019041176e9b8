"""keras.optimizers.RMSprop."""

from typing import Unpack

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.optimizers import rmsprop as gradtx_rmsprop
from gradtx.require import is_zero


@optimizer()
def rmsprop(
    learning_rate: ScalarOrSchedule = 0.001,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
    centered: bool = False,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's RMSprop does: gradtx's, with another epsilon.

        v ← rho·v + (1−rho)·g²
        t ← momentum·t + learning_rate·g / √(v + epsilon)
        Δp = −t

    PyTorch has its epsilon outside of the root, a decay of 0.99, and multiplies t by the learning rate.

    Args:
      learning_rate, weight_decay, **options: see `Options`.
      rho: decay of the mean of the square.
      momentum: what is kept of t.
      epsilon: added inside of the root.
      centered: whether to subtract the square of the mean from v; where rounding makes the difference negative it is 0 here.
    """

    def descent(rate: ScalarOrSchedule) -> GradientTransformationExtraArgs:
        ball = None if is_zero(momentum) else momentum
        return gradtx_rmsprop.rmsprop(rate, rho, epsilon, centered=centered, momentum=ball)

    return composed(descent, learning_rate, weight_decay, **options)
