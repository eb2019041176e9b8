"""keras.optimizers.Nadam."""

from typing import Unpack

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.optimizers.nadam import scale_by_nadam
from gradtx.transforms.scale import scale_by_learning_rate


@optimizer()
def nadam(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's Nadam does: `scale_by_nadam`, whose momentum has all but risen to beta_1 after a hundred steps.

    In PyTorch it rises 250 times as slowly; in Optax it is constant.

    Args:
      learning_rate, weight_decay, **options: see `Options`.
      beta_1: decay of the mean of the gradient, and the momentum in the end.
      beta_2: decay of the mean of its square.
      epsilon: added outside of the root.
    """
    direction = scale_by_nadam(beta_1, beta_2, epsilon, momentum_decay=1.0)
    return composed(lambda rate: chain(direction, scale_by_learning_rate(rate)), learning_rate, weight_decay, **options)
