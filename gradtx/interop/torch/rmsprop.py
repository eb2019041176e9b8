"""torch.optim.RMSprop."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, factory
from gradtx.interop.torch.composition import composed, scheduled
from gradtx.optimizers.rmsprop import scale_by_rms, scale_by_stddev
from gradtx.require import DECAY, Range, is_zero
from gradtx.transforms.momentum import trace


@factory(alpha=DECAY, momentum=Range(low=0, high=1))
def rmsprop(
    lr: ScalarOrSchedule = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0,
    momentum: ScalarOrSchedule = 0,
    centered: bool = False,
    *,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's RMSprop does.

        v ← alpha·v + (1−alpha)·g²
        t ← g / (√v + eps) + momentum·t
        Δp = −lr·t

    In Optax and Keras eps is inside of the root, the decay is 0.9, and the momentum sums steps that have their learning rate
    already.

    Args:
      lr, weight_decay, maximize: as in `adam`.
      alpha: decay of the mean of the square.
      eps: added outside of the root.
      momentum: what is kept of t, a number or a schedule.
      centered: whether to divide by the standard deviation, √(v − m²) + eps, instead of √v + eps.

    Raises:
      ValueError: a number is out of its range.
    """
    rescaled = (scale_by_stddev if centered else scale_by_rms)(alpha, eps, eps_in_sqrt=False)
    ball = [] if is_zero(momentum) else [scheduled(trace, decay=momentum)]
    return composed(rescaled, *ball, lr=lr, weight_decay=weight_decay, maximize=maximize)
