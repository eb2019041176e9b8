"""keras.optimizers.SGD."""

from typing import Unpack

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.require import is_zero
from gradtx.transforms.momentum import trace
from gradtx.transforms.scale import scale_by_learning_rate


@optimizer()
def sgd(
    learning_rate: ScalarOrSchedule = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's SGD does.

        v ← momentum·v − learning_rate·g
        Δp = v                  or, with `nesterov`, momentum·v − learning_rate·g

    The learning rate is part of v, which it is not in gradtx and PyTorch: when it halves, the velocity is still that of before.

    Args:
      learning_rate, weight_decay, **options: see `Options`.
      momentum: what is kept of v.
      nesterov: whether to look one step ahead.
    """

    def descent(rate: ScalarOrSchedule) -> GradientTransformationExtraArgs:
        return chain(scale_by_learning_rate(rate), *([] if is_zero(momentum) else [trace(momentum, nesterov)]))

    return composed(descent, learning_rate, weight_decay, **options)
