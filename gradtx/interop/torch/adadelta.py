"""torch.optim.Adadelta."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, factory
from gradtx.interop.torch.composition import composed
from gradtx.optimizers.adadelta import scale_by_adadelta
from gradtx.require import DECAY


@factory(rho=DECAY)
def adadelta(
    lr: ScalarOrSchedule = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: ScalarOrSchedule = 0,
    *,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's Adadelta does: `scale_by_adadelta`, with the learning rate 1 of the paper.

    Args:
      lr, weight_decay, maximize: as in `adam`.
      rho: decay of both means.
      eps: added inside of both roots.

    Raises:
      ValueError: a number is out of its range.
    """
    return composed(scale_by_adadelta(rho, eps), lr=lr, weight_decay=weight_decay, maximize=maximize)
