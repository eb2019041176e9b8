"""Gradient descent with Polyak's step size (Polyak 1969, Loizou et al. 2021)."""

from typing import Literal

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.optimizers.sgd import sgd
from gradtx.require import NONNEGATIVE
from gradtx.transforms.polyak import scale_by_polyak


@factory(max_learning_rate=NONNEGATIVE._replace(infinite=True), scaling=NONNEGATIVE)
def polyak_sgd(
    max_learning_rate: float = 1.0,
    scaling: ScalarOrSchedule = 1.0,
    f_min: float = 0.0,
    eps: float = 0.0,
    variant: Literal["sps", "sps+"] = "sps",
) -> GradientTransformationExtraArgs:
    """Descend by the step that would reach the minimum if the function were linear; `update` reads `value`.

        Δp = −scaling · min( (f − f_min) / (‖g‖² + eps), max_learning_rate ) · g

    where g is the gradient times `scaling`, too, in the norm.

    Args:
      max_learning_rate: the greatest step size.
      scaling: a factor, a number or a schedule.
      f_min: the least value the function can have.
      eps: added to the square of the norm.
      variant: "sps", or "sps+" for values that may lie below `f_min`.

    Raises:
      ValueError: `variant` is another word.

    References:
      Loizou et al., Stochastic Polyak Step-size for SGD, 2021, https://arxiv.org/abs/2002.10542
    """
    return chain(sgd(scaling), scale_by_polyak(f_min, max_learning_rate, eps, variant))
