"""AdEMAMix (Pagliardini et al. 2024), and its simplified form (Morwani et al. 2025)."""

from jax.typing import DTypeLike

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.transforms.ademamix import scale_by_ademamix, scale_by_simplified_ademamix
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.mask import Mask


@factory
def ademamix(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """Descend as AdamW, with a second mean of the gradient that remembers far longer.

        m₁ ← b1·m₁ + (1−b1)·g            m̂₁ = m₁ / (1−b1ᵗ)
        m₂ ← b3·m₂ + (1−b3)·g
        Δp = −η·( (m̂₁ + alpha·m₂) / (√(v̂ + eps_root) + eps) + weight_decay·p )

    The default alpha is 5, as in the paper; that of `scale_by_ademamix` is 6, as in Optax.

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the fast mean.
      b2: decay of the mean of the square.
      b3: decay of the slow mean, a number or a schedule.
      alpha: weight of the slow mean, a number or a schedule.
      eps: added outside of the root.
      eps_root: added inside of the root.
      mu_dtype: dtype in which m₁ and m₂ are kept; by default that of the parameters, float32 at least.
      weight_decay: fraction of the parameters in a step, before the learning rate; a number or a schedule.
      mask: which parameters decay: a tree of bools, or a function of the parameters that returns one; None for all.

    References:
      Pagliardini, Ablin and Grangier, The AdEMAMix Optimizer: Better, Faster, Older, 2024, https://arxiv.org/abs/2409.03137
    """
    return chain(
        scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@factory
def simplified_ademamix(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.99,
    b2: float = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """Descend along a long sum of the gradient and the gradient itself, rescaled as in Adam.

        m ← b1·m + g
        Δp = −η·( (alpha·g + m) / (√(n̂ + eps_root) + eps) + weight_decay·p )

    Args:
      learning_rate: η, a number or a schedule; about (1−b1) times that of Adam.
      b1: decay of the sum of the gradient.
      b2: decay of the mean of its square, n.
      alpha: weight of the gradient itself, a number or a schedule.
      eps: added outside of the root.
      eps_root: added inside of the root.
      weight_decay: fraction of the parameters in a step, before the learning rate; a number or a schedule.
      mask: which parameters decay: a tree of bools, or a function of the parameters that returns one; None for all.

    References:
      Morwani et al., Connections between Schedule-Free Optimizers, AdEMAMix, and Accelerated SGD Variants, 2025,
        https://arxiv.org/abs/2502.02431
    """
    return chain(
        scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
