"""keras.optimizers.Adadelta."""

from typing import Unpack

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.optimizers.adadelta import scale_by_adadelta
from gradtx.transforms.scale import scale_by_learning_rate


@optimizer()
def adadelta(
    learning_rate: ScalarOrSchedule = 0.001,
    rho: float = 0.95,
    epsilon: float = 1e-7,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's Adadelta does: `scale_by_adadelta`.

    The learning rate of the paper, and of PyTorch, is 1; Keras's default makes a thousandth of its steps.

    Args:
      learning_rate, weight_decay, **options: see `Options`.
      rho: decay of both means.
      epsilon: added inside of both roots.
    """
    direction = scale_by_adadelta(rho, epsilon)
    return composed(lambda rate: chain(direction, scale_by_learning_rate(rate)), learning_rate, weight_decay, **options)
