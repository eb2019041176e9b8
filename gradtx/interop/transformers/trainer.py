"""The optimizer of the Trainer of transformers."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.interop.torch.clipping import clip_grad_norm
from gradtx.interop.transformers.decay_mask import decay_mask
from gradtx.optimizers.adam import adamw
from gradtx.require import DECAY, NONNEGATIVE
from gradtx.tree.masks import Mask


@factory(adam_beta1=DECAY, adam_beta2=DECAY, adam_epsilon=NONNEGATIVE, max_grad_norm=NONNEGATIVE._replace(infinite=True))
def trainer_adamw(
    learning_rate: ScalarOrSchedule = 5e-5,
    weight_decay: ScalarOrSchedule = 0.0,
    adam_beta1: float = 0.9,
    adam_beta2: float = 0.999,
    adam_epsilon: float = 1e-8,
    max_grad_norm: float = 1.0,
    *,
    mask: Mask | None = decay_mask,
) -> GradientTransformationExtraArgs:
    """Descend as the Trainer does: clip the gradients by their common norm, then AdamW, where biases and norms do not decay.

        g ← g · min(1, max_grad_norm / (‖g‖ + 1e-6))
        Δp = −learning_rate · (m̂ / (√v̂ + adam_epsilon) + weight_decay·p)

    The arguments are those of `TrainingArguments`, by name and default: nothing decays unless weight_decay is given. There the
    learning rate falls to 0 along a line over the whole training; here it is constant unless it is given a schedule, such as
    `get_linear_schedule_with_warmup(5e-5, 0, num_training_steps)`.

    Args:
      learning_rate: a number or a schedule.
      weight_decay, mask: as in `gradtx.adamw`.
      adam_beta1, adam_beta2, adam_epsilon: `b1`, `b2` and `eps` of `gradtx.adamw`.
      max_grad_norm: the largest norm of all gradients together; 0 for any.

    Raises:
      ValueError: a number is out of its range.
    """
    unlimited = isinstance(max_grad_norm, int | float) and max_grad_norm == 0
    return chain(
        *([] if unlimited else [clip_grad_norm(max_grad_norm)]),
        adamw(learning_rate, adam_beta1, adam_beta2, adam_epsilon, weight_decay=weight_decay, mask=mask),
    )
