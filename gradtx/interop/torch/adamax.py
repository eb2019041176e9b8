"""torch.optim.Adamax."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, factory
from gradtx.interop.torch.composition import b1_and_b2, composed, scheduled
from gradtx.optimizers.adamax import scale_by_adamax


@factory
def adamax(
    lr: ScalarOrSchedule = 2e-3,
    betas: tuple[ScalarOrSchedule, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0,
    *,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's Adamax does: `scale_by_adamax`, as in Optax. Keras adds eps to the maximum, not to its arguments.

    Args:
      lr, weight_decay, maximize: as in `adam`.
      betas: decays of the mean of the gradient and of its largest magnitude.
      eps: added to each magnitude.

    Raises:
      ValueError: a number is out of its range.
    """
    direction = scheduled(scale_by_adamax, **b1_and_b2(betas), eps=eps)
    return composed(direction, lr=lr, weight_decay=weight_decay, maximize=maximize)
