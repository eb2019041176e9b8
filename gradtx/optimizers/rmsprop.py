"""RMSProp (Hinton 2012), plain, centered and with momentum."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory, identity
from gradtx.transforms.momentum import trace
from gradtx.transforms.rmsprop import scale_by_rms, scale_by_stddev
from gradtx.transforms.scale import scale_by_learning_rate


@factory
def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: float | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend along the gradient divided by its recent root mean square.

        v ← decay·v + (1−decay)·|g|²
        Δp = −η·g / √(v + eps)

    Args:
      learning_rate: η, a number or a schedule.
      decay: weight of the past in the mean square.
      eps: bounds the step where gradients vanish.
      initial_scale: v at the start.
      eps_in_sqrt: whether eps is inside of the root.
      centered: whether to divide by the standard deviation: √(v − m² + eps), with m the mean of the gradient.
      momentum: what is kept of the sum of steps; None for no momentum.
      nesterov: whether momentum looks one step ahead.
      bias_correction: whether to divide the means by the weight they have gathered so far.

    Conventions:
      eps is inside of the root, as in Keras; outside in PyTorch (`eps_in_sqrt=False`), whose decay is 0.99. Momentum sums steps
      that have their learning rate, as in Keras; in PyTorch the sum comes first, which differs where the learning rate changes.
      Exactly theirs are `interop.torch.rmsprop` and `interop.keras.rmsprop`.

    References:
      Hinton, Neural Networks for Machine Learning, lecture 6, 2012,
        https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
      Graves, Generating Sequences With Recurrent Neural Networks, 2013, https://arxiv.org/abs/1308.0850
    """
    rescale = scale_by_stddev if centered else scale_by_rms
    return chain(
        rescale(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        identity() if momentum is None else trace(momentum, nesterov),
    )
