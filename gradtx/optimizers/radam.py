"""RAdam, rectified Adam (Liu et al. 2020)."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.transforms.radam import scale_by_radam
from gradtx.transforms.scale import scale_by_learning_rate


@factory
def radam(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    threshold: float = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as Adam with a warm-up that follows from the variance of its mean square.

        ρ = 2/(1−b2) − 1 − 2t·b2ᵗ/(1−b2ᵗ)
        Δp = −η·r·m̂ / (√(v̂ + eps_root) + eps)     where ρ ≥ threshold, with r as in `scale_by_radam`
        Δp = −η·m̂                                 before that

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean of the gradient.
      b2: decay of the mean of its square.
      eps: added outside of the root.
      eps_root: added inside of the root.
      threshold: the ρ from which on the mean square is trusted.
      nesterov: whether to use Nesterov's momentum, as in `nadam`.

    Conventions:
      The mean square is trusted where ρ ≥ 5, as in Optax; PyTorch asks for ρ > 5, and adds eps before the bias of v is
      corrected (`debias_eps` of `scale_by_radam`). Exactly its own is `interop.torch.radam`.

    References:
      Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020, https://arxiv.org/abs/1908.03265
    """
    return chain(scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov), scale_by_learning_rate(learning_rate))
