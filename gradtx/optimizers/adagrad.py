"""AdaGrad (Duchi et al. 2011)."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.transforms.adagrad import scale_by_rss
from gradtx.transforms.scale import scale_by_learning_rate


@factory
def adagrad(
    learning_rate: ScalarOrSchedule, initial_accumulator_value: float = 0.1, eps: float = 1e-7
) -> GradientTransformationExtraArgs:
    """Descend with steps that shorten, coordinate by coordinate, as squared gradients add up.

        s ← s + |g|²
        Δp = −η·g / √(s + eps)

    Args:
      learning_rate: η, a number or a schedule.
      initial_accumulator_value: s at the start.
      eps: added inside of the root.

    Conventions:
      The defaults and the place of eps are those of Keras. PyTorch begins with s = 0 and adds 1e-10 outside of the root: with
      small gradients its first steps are longer by orders of magnitude. Exactly theirs are `interop.torch.adagrad` and
      `interop.keras.adagrad`.

    References:
      Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, 2011,
        https://jmlr.org/papers/v12/duchi11a.html
    """
    return chain(scale_by_rss(initial_accumulator_value, eps), scale_by_learning_rate(learning_rate))
