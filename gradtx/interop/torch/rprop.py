"""torch.optim.Rprop."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, factory
from gradtx.interop.torch.composition import composed
from gradtx.optimizers.rprop import scale_by_rprop


@factory
def rprop(
    lr: ScalarOrSchedule = 1e-2,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50),
    *,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's Rprop does: `scale_by_rprop`.

    Args:
      lr: size of the first step; a schedule's value at the first step, as torch never reads it again.
      etas: factors of a step size, where the sign of the gradient has turned and where it has not.
      step_sizes: the least and the greatest step size.
      maximize: whether to ascend.

    Raises:
      ValueError: a number is out of its range.
    """
    return composed(scale_by_rprop(lr, *etas, *step_sizes), lr=1.0, maximize=maximize)
