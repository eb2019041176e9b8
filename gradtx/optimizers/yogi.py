"""Yogi (Zaheer et al. 2018)."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.yogi import scale_by_yogi


@factory
def yogi(
    learning_rate: ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-3
) -> GradientTransformationExtraArgs:
    """Descend as Adam with a mean square that changes by at most (1−b2)·|g|² a step.

        v ← v − (1−b2)·sign(v − |g|²)·|g|²
        Δp = −η·m̂ / (√v̂ + eps)

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean of the gradient.
      b2: 1−b2 is the rate at which v follows the square of the gradient.
      eps: added outside of the root.

    References:
      Zaheer et al., Adaptive Methods for Nonconvex Optimization, 2018,
        https://papers.nips.cc/paper/2018/hash/90365351ccc7437a1309dc64e4db32a3-Abstract.html
    """
    return chain(scale_by_yogi(b1, b2, eps), scale_by_learning_rate(learning_rate))
