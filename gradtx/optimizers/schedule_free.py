"""Schedule-free SGD and AdamW (Defazio et al. 2024)."""

from jax.typing import DTypeLike

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, at_step, chain, factory
from gradtx.optimizers.rmsprop import scale_by_rms
from gradtx.optimizers.sgd import sgd
from gradtx.schedules.formula import STEPS, schedule
from gradtx.schedules.warmup import warmup_constant_schedule
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.wrappers.schedule_free import schedule_free


@factory(warmup_steps=STEPS)
def schedule_free_sgd(
    learning_rate: ScalarOrSchedule = 1.0,
    warmup_steps: int | None = None,
    b1: float = 0.9,
    weight_decay: float | None = None,
    weight_lr_power: float = 2.0,
    state_dtype: DTypeLike | None = None,
) -> GradientTransformationExtraArgs:
    """Descend along the gradient, and average: SGD that needs no decay of the learning rate.

        z ← z − η·(g + weight_decay·y)
        x ← (1−c)·x + c·z
        y ← (1−b1)·z + b1·x        the parameters

    See `schedule_free`, and `schedule_free_eval_params` for the parameters to evaluate.

    Args:
      learning_rate: η after the warm-up, a number or a schedule.
      warmup_steps: how many steps η takes to rise: in the k-th it is k/warmup_steps of its value.
      b1: how near to the average gradients are taken.
      weight_decay: fraction of the parameters that is added to the gradient; None for none.
      weight_lr_power: the power of the learning rate that a step weighs in the average.
      state_dtype: dtype in which z is kept; by default that of the parameters, float32 at least.

    References:
      Defazio et al., The Road Less Scheduled, 2024, https://arxiv.org/abs/2405.15682
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    descent = sgd(rate) if weight_decay is None else chain(add_decayed_weights(weight_decay), sgd(rate))
    return schedule_free(descent, rate, b1, weight_lr_power, state_dtype)


@factory(warmup_steps=STEPS)
def schedule_free_adamw(
    learning_rate: ScalarOrSchedule = 0.0025,
    warmup_steps: int | None = None,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_lr_power: float = 2.0,
    state_dtype: DTypeLike | None = None,
) -> GradientTransformationExtraArgs:
    """Descend as AdamW without momentum, and average: needs no decay of the learning rate.

        v ← b2·v + (1−b2)·|g|²
        z ← z − η·( g / (√(v/(1−b2ᵗ)) + eps) + weight_decay·y )
        x ← (1−c)·x + c·z
        y ← (1−b1)·z + b1·x        the parameters

    See `schedule_free`, and `schedule_free_eval_params` for the parameters to evaluate.

    Args:
      learning_rate: η after the warm-up, a number or a schedule.
      warmup_steps: how many steps η takes to rise: in the k-th it is k/warmup_steps of its value.
      b1: how near to the average gradients are taken.
      b2: decay of the mean of the square.
      eps: added outside of the root, bounds the step where gradients vanish.
      weight_decay: fraction of the parameters in a step, before the learning rate.
      weight_lr_power: the power of the learning rate that a step weighs in the average.
      state_dtype: dtype in which z is kept; by default that of the parameters, float32 at least.

    Conventions:
      A step weighs as much as the square of its learning rate in the average, as in the authors' code; in Keras all steps weigh
      the same, and the weight decay moves the parameters themselves. Exactly Keras's is `interop.keras.schedule_free_adamw`.

    References:
      Defazio et al., The Road Less Scheduled, 2024, https://arxiv.org/abs/2405.15682
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    descent = chain(
        scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True),  # Adam whose b1 is 0, without the unused mean
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(rate),
    )
    return schedule_free(descent, rate, b1, weight_lr_power, state_dtype)


def _warmed_up(learning_rate: ScalarOrSchedule, warmup_steps: int | None) -> ScalarOrSchedule:
    """The rate with a linear warm-up from 1/warmup_steps of it, as in the authors' code: no step is lost at a rate of 0."""
    if not warmup_steps:
        return learning_rate
    warmup = warmup_constant_schedule(1 / warmup_steps, 1.0, warmup_steps - 1)

    @schedule
    def rate(count):
        return warmup(count) * at_step(learning_rate, count)

    return rate
