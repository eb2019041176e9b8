"""keras.optimizers.ScheduleFreeAdamW."""

from typing import Unpack

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.optimizers import schedule_free
from gradtx.schedules.formula import COUNTABLE


@optimizer(warmup_steps=COUNTABLE)
def schedule_free_adamw(
    learning_rate: ScalarOrSchedule = 0.0025,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    warmup_steps: int = 0,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's ScheduleFreeAdamW does: gradtx's, where all steps weigh the same in the average.

    gradtx, as the authors' code, gives a step the weight of the square of its learning rate. The weight decay is that of
    `Options`: it moves the parameters, not z. `gradtx.schedule_free_eval_params` gives the average.

    Args:
      learning_rate, weight_decay, **options: see `Options`.
      beta_1: how near to the average gradients are taken, between 0 and 1.
      beta_2: decay of the mean of the square of the gradient.
      epsilon: added outside of the root, after the bias is corrected.
      warmup_steps: how many steps the learning rate takes to rise, that of the decay excepted.

    References:
      Defazio et al., The Road Less Scheduled, 2024, https://arxiv.org/abs/2405.15682
    """

    def descent(rate: ScalarOrSchedule) -> GradientTransformationExtraArgs:
        return schedule_free.schedule_free_adamw(rate, warmup_steps, beta_1, beta_2, epsilon, weight_lr_power=0.0)

    return composed(descent, learning_rate, weight_decay, **options)
