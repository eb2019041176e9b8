"""keras.optimizers.Ftrl."""

from typing import Unpack

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.optimizers import ftrl as gradtx_ftrl
from gradtx.require import NONNEGATIVE, Range


@optimizer(
    learning_rate_power=Range(high=0),
    l1_regularization_strength=NONNEGATIVE,
    l2_regularization_strength=NONNEGATIVE,
    l2_shrinkage_regularization_strength=NONNEGATIVE,
    beta=NONNEGATIVE,
)
def ftrl(
    learning_rate: ScalarOrSchedule = 0.001,
    learning_rate_power: float = -0.5,
    initial_accumulator_value: float = 0.1,
    l1_regularization_strength: float = 0.0,
    l2_regularization_strength: float = 0.0,
    l2_shrinkage_regularization_strength: float = 0.0,
    beta: float = 0.0,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's Ftrl does: gradtx's, by other names.

    The weight decay acts only on what the optimizer reads of the parameters, as these are then set again.

    Args:
      learning_rate: see `Options`; a step at 0 is left out, which in Keras makes NaN.
      learning_rate_power: minus the power of gradtx's.
      initial_accumulator_value: sum of the squares of the gradient at the start.
      l1_regularization_strength: weight of the penalty |p|.
      l2_regularization_strength: weight of the penalty |p|².
      l2_shrinkage_regularization_strength: weight of the penalty |p|² at each step, which the sum of squares does not see.
      beta: added to the power of the sum of squares.
      weight_decay, **options: see `Options`.
    """

    def descent(rate: ScalarOrSchedule) -> GradientTransformationExtraArgs:
        return gradtx_ftrl.ftrl(
            rate,
            -learning_rate_power,
            initial_accumulator_value,
            l1=l1_regularization_strength,
            l2=l2_regularization_strength,
            l2_shrinkage=l2_shrinkage_regularization_strength,
            beta=beta,
        )

    return composed(descent, learning_rate, weight_decay, **options)
