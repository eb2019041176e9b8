"""keras.optimizers.Lion."""

from typing import Unpack

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.optimizers.lion import scale_by_lion
from gradtx.transforms.scale import scale_by_learning_rate


@optimizer()
def lion(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.99,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's Lion does: gradtx's, without its weight decay.

    Args:
      learning_rate, weight_decay, **options: see `Options`.
      beta_1: weight of the past in the direction.
      beta_2: decay of the mean that is kept.
    """
    direction = scale_by_lion(beta_1, beta_2)
    return composed(lambda rate: chain(direction, scale_by_learning_rate(rate)), learning_rate, weight_decay, **options)
