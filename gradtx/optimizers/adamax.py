"""AdaMax (Kingma & Ba 2015), and with decoupled weight decay."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.transforms.adamax import scale_by_adamax
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.mask import Mask


@factory
def adamax(
    learning_rate: ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> GradientTransformationExtraArgs:
    """Descend along the mean of the gradient divided by its largest recent magnitude.

        m ← b1·m + (1−b1)·g
        v ← max(b2·v, |g| + eps)
        Δp = −η·m / (1−b1ᵗ) / v

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean of the gradient.
      b2: decay of the magnitude.
      eps: added to the magnitude.

    Conventions:
      eps is added before the maximum is taken, as in PyTorch; Keras adds 1e-7 after (`eps_in_max=False` of `scale_by_adamax`).
      Exactly theirs are `interop.torch.adamax` and `interop.keras.adamax`.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, section 7.1, 2015, https://arxiv.org/abs/1412.6980
    """
    return chain(scale_by_adamax(b1, b2, eps), scale_by_learning_rate(learning_rate))


@factory
def adamaxw(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """Descend as `adamax`, and let the parameters decay by the learning rate alone.

        Δp = −η·( m / (1−b1ᵗ) / v + weight_decay·p )

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean of the gradient.
      b2: decay of the magnitude.
      eps: added to the magnitude.
      weight_decay: fraction of the parameters in a step, before the learning rate; a number or a schedule.
      mask: which parameters decay: a tree of bools, or a function of the parameters that returns one; None for all.

    References:
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, https://arxiv.org/abs/1711.05101
    """
    return chain(scale_by_adamax(b1, b2, eps), add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
