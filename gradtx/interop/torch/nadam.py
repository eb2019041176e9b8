"""torch.optim.NAdam."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, factory
from gradtx.interop.torch.composition import b1_and_b2, composed, scheduled
from gradtx.optimizers.nadam import scale_by_nadam


@factory
def nadam(
    lr: ScalarOrSchedule = 2e-3,
    betas: tuple[ScalarOrSchedule, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's NAdam does: `scale_by_nadam`, whose momentum rises slowly to betas[0].

    Optax's `nadam` has the constant momentum that this one ends with; in Keras it rises 250 times as fast. torch keeps the
    product of the momenta in its default dtype, float32.

    Args:
      lr, betas, eps, weight_decay, decoupled_weight_decay, maximize: as in `adam`.
      momentum_decay: how fast the momentum rises.

    Raises:
      ValueError: a number is out of its range.
    """
    direction = scheduled(scale_by_nadam, **b1_and_b2(betas), eps=eps, momentum_decay=momentum_decay)
    return composed(direction, lr=lr, weight_decay=weight_decay, decoupled=decoupled_weight_decay, maximize=maximize)
