"""Few data, all of which are seen at every step."""

from gradtx import require
from gradtx.core import GradientTransformation, Scalar, keeps_contract
from gradtx.errors import names_errors
from gradtx.optimizers.lbfgs import lbfgs


@names_errors
@keeps_contract(memory_size=require.AT_LEAST_ONE)
def small_data(learning_rate: Scalar | None = None, *, memory_size: int = 10) -> GradientTransformation:
    """Small data, such as a regression or a physical model: L-BFGS on the loss of all data, with a line search.

        result = gradtx.minimize(loss, params, tx=gradtx.recipes.small_data())

    There is no rate to tune: the line search chooses the length of each step. The loss must be the same function at every
    step: with mini-batches, take another recipe. Liu and Nocedal remember 3 to 7 steps; 10 are the default of SciPy and JAX.

    Args:
      learning_rate: a factor of the step that the line search begins with; None for 1.
      memory_size: how many steps are remembered; each takes two copies of the parameters.

    Raises:
      ValueError: a number is out of its range.

    References:
      Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989,
        https://doi.org/10.1007/BF01589116
    """
    return lbfgs(learning_rate, memory_size=memory_size)
