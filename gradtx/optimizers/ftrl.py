"""FTRL-Proximal: follow the regularized leader (McMahan et al. 2013)."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.transforms.ftrl import FTRL_RANGES, scale_by_ftrl
from gradtx.transforms.scale import scale


@factory(**FTRL_RANGES)
def ftrl(
    learning_rate: ScalarOrSchedule,
    power: float = 0.5,
    initial_accumulator_value: float = 0.1,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    l2_shrinkage: float = 0.0,
    beta: float = 0.0,
) -> GradientTransformationExtraArgs:
    """Go to the minimum of all gradients so far and of a penalty, which makes parameters exactly 0: for sparse linear models.

        Δp = p' − p        p' of `scale_by_ftrl`

    Args:
      learning_rate: η, a number or a schedule.
      power: how fast the rate of each coordinate falls with the sum n of its squares.
      initial_accumulator_value: n at the start.
      l1: weight of the penalty |p|.
      l2: weight of the penalty |p|².
      l2_shrinkage: weight of the penalty |p|² at each step, which n does not see.
      beta: added to n^power.

    Conventions:
      Keras's, with its defaults, by shorter names and a positive power; exactly Keras's is `interop.keras.ftrl`. The paper's n
      begins at 0, and its beta is 1.

    References:
      McMahan et al., Ad Click Prediction: a View from the Trenches, 2013, https://doi.org/10.1145/2487575.2488200
    """
    options = {"l1": l1, "l2": l2, "l2_shrinkage": l2_shrinkage, "beta": beta}
    return chain(scale_by_ftrl(learning_rate, power, initial_accumulator_value, **options), scale(-1.0))
