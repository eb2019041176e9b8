"""Lion (Chen et al. 2023)."""

from jax.typing import DTypeLike

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.transforms.lion import scale_by_lion
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.mask import Mask


@factory
def lion(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.99,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 1e-3,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """Descend along the sign of a mean of the gradient: one moment, and steps of one size.

        Δp = −η·( sign(b1·m + (1−b1)·g) + weight_decay·p )
        m ← b2·m + (1−b2)·g

    The paper suggests a learning rate 3 to 10 times smaller than for AdamW, and a decay that much larger.

    Args:
      learning_rate: η, a number or a schedule.
      b1: weight of the past in the direction.
      b2: decay of the mean that is kept.
      mu_dtype: dtype in which m is kept; by default that of the parameters, float32 at least.
      weight_decay: fraction of the parameters in a step, before the learning rate; a number or a schedule.
      mask: which parameters decay: a tree of bools, or a function of the parameters that returns one; None for all.

    Conventions:
      The formula is Keras's, which does not decay by default: `interop.keras.lion`.

    References:
      Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, https://arxiv.org/abs/2302.06675
    """
    return chain(
        scale_by_lion(b1, b2, mu_dtype), add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate)
    )
