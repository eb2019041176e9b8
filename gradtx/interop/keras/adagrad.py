"""keras.optimizers.Adagrad."""

from typing import Unpack

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.optimizers.adagrad import scale_by_rss
from gradtx.transforms.scale import scale_by_learning_rate


@optimizer()
def adagrad(
    learning_rate: ScalarOrSchedule = 0.001,
    initial_accumulator_value: float = 0.1,
    epsilon: float = 1e-7,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's Adagrad does: gradtx's, as it is in Optax; PyTorch has its epsilon outside of the root.

    Args:
      learning_rate, weight_decay, **options: see `Options`.
      initial_accumulator_value: the sum of squares at the start.
      epsilon: added inside of the root.
    """
    direction = scale_by_rss(initial_accumulator_value, epsilon)
    return composed(lambda rate: chain(direction, scale_by_learning_rate(rate)), learning_rate, weight_decay, **options)
