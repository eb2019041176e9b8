"""keras.optimizers.Adamax."""

from typing import Unpack

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.optimizers.adamax import scale_by_adamax
from gradtx.transforms.scale import scale_by_learning_rate


@optimizer()
def adamax(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's Adamax does: `scale_by_adamax` whose eps is added to the maximum, not to its arguments.

    Args:
      learning_rate, weight_decay, **options: see `Options`.
      beta_1: decay of the mean of the gradient.
      beta_2: decay of its largest magnitude.
      epsilon: added to that magnitude.
    """
    direction = scale_by_adamax(beta_1, beta_2, epsilon, eps_in_max=False)
    return composed(lambda rate: chain(direction, scale_by_learning_rate(rate)), learning_rate, weight_decay, **options)
