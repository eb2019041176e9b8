"""torch.optim.RAdam."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, factory
from gradtx.interop.torch.composition import b1_and_b2, composed, scheduled
from gradtx.optimizers.radam import scale_by_radam


@factory
def radam(
    lr: ScalarOrSchedule = 1e-3,
    betas: tuple[ScalarOrSchedule, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's RAdam does: `scale_by_radam` whose eps is added to √v before the bias is corrected.

    Args:
      lr, betas, weight_decay, decoupled_weight_decay, maximize: as in `adam`.
      eps: added outside of the root, before the correction.

    Raises:
      ValueError: a number is out of its range.
    """
    direction = scheduled(scale_by_radam, **b1_and_b2(betas), eps=eps, debias_eps=True)
    return composed(direction, lr=lr, weight_decay=weight_decay, decoupled=decoupled_weight_decay, maximize=maximize)
