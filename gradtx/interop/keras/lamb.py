"""keras.optimizers.Lamb."""

from typing import Unpack

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.optimizers.adam import scale_by_adam
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.trust_ratio import scale_by_trust_ratio


@optimizer()
def lamb(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's Lamb does: gradtx's, with another epsilon, and the weight decay outside of the ratio.

    In the paper, and in Optax, the decay is part of what is given the norm of the parameters. Here that is the norm of what
    has decayed already.

    Args:
      learning_rate, weight_decay, **options: see `Options`.
      beta_1: decay of the mean of the gradient.
      beta_2: decay of the mean of its square.
      epsilon: added outside of the root, after the bias is corrected.
    """
    direction = chain(scale_by_adam(beta_1, beta_2, epsilon), scale_by_trust_ratio())
    return composed(lambda rate: chain(direction, scale_by_learning_rate(rate)), learning_rate, weight_decay, **options)
