"""torch.optim.SGD."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, factory
from gradtx.interop.torch.composition import composed, scheduled
from gradtx.require import NONNEGATIVE, Range, is_zero
from gradtx.transforms.momentum import trace


@factory(momentum=Range(low=0, high=1), dampening=NONNEGATIVE)
def sgd(
    lr: ScalarOrSchedule = 1e-3,
    momentum: ScalarOrSchedule = 0,
    dampening: float = 0,
    weight_decay: ScalarOrSchedule = 0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's SGD does.

        g ← g + weight_decay·p
        t ← (1−dampening)·g + momentum·t, the first t ← g
        Δp = −lr·t                   or, with `nesterov`, −lr·(g + momentum·t)

    The learning rate is not part of t, as it is in Keras: when it halves, so does the step, at once.

    Args:
      lr: learning rate, a number or a schedule.
      momentum: what is kept of t, a number or a schedule, such as `one_cycle_momentum`.
      dampening: what is left out of each gradient but the first.
      weight_decay: factor of the penalty, which the momentum remembers.
      nesterov: whether to look one step ahead.
      maximize: whether to ascend.

    Raises:
      ValueError: `nesterov` without momentum or with dampening, or a number is out of its range.
    """
    if nesterov and (is_zero(momentum) or not is_zero(dampening)):
        raise ValueError(f"sgd: nesterov needs a momentum and no dampening, got {momentum=} and {dampening=}.")
    options = {"decay": momentum, "nesterov": nesterov, "dampening": None if is_zero(dampening) else dampening}
    ball = [] if is_zero(momentum) else [scheduled(trace, **options)]
    return composed(*ball, lr=lr, weight_decay=weight_decay, maximize=maximize)
