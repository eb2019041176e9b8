"""torch.optim.Adagrad."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, at_step, factory
from gradtx.interop.torch.composition import composed
from gradtx.optimizers.adagrad import scale_by_rss
from gradtx.require import NONNEGATIVE, is_zero
from gradtx.schedules.formula import schedule


@factory(lr_decay=NONNEGATIVE)
def adagrad(
    lr: ScalarOrSchedule = 1e-2,
    lr_decay: float = 0,
    weight_decay: ScalarOrSchedule = 0,
    initial_accumulator_value: float = 0,
    eps: float = 1e-10,
    *,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's Adagrad does.

        s ← s + g²
        Δp = −lr/(1 + t·lr_decay) · g / (√s + eps)       t = 0 at the first step

    Optax and Keras have eps inside of the root, and s begins at 0.1: with their defaults small gradients make small steps at
    first, with torch's each first step has the length lr.

    Args:
      lr, weight_decay, maximize: as in `adam`.
      lr_decay: how fast the learning rate falls.
      initial_accumulator_value: s at the start.
      eps: added outside of the root.

    Raises:
      ValueError: a number is out of its range.
    """

    @schedule
    def decayed(count):
        return at_step(lr, count) / (1 + count * lr_decay)

    direction = scale_by_rss(initial_accumulator_value, eps, eps_in_sqrt=False)
    return composed(direction, lr=lr if is_zero(lr_decay) else decayed, weight_decay=weight_decay, maximize=maximize)
