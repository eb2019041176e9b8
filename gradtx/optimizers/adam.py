"""Adam (Kingma & Ba 2015), NAdam (Dozat 2016), and both with decoupled weight decay (Loshchilov & Hutter 2019)."""

from typing import Any

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.transforms.adam import scale_by_adam
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.mask import Mask


@factory
def adam(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend along the mean of the gradient divided by the root of the mean of its square.

        m ← b1·m + (1−b1)·g              m̂ = m / (1−b1ᵗ)
        v ← b2·v + (1−b2)·|g|²           v̂ = v / (1−b2ᵗ)
        Δp = −η·m̂ / (√(v̂ + eps_root) + eps)

    Equal to PyTorch's Adam without weight decay. Keras adds its eps (1e-7) to √v before the bias of v is corrected.

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean of the gradient.
      b2: decay of the mean of its square.
      eps: added outside of the root.
      eps_root: added inside of the root.
      mu_dtype: dtype in which m is kept; by default that of the parameters, float32 at least.
      nesterov: whether to use Nesterov's momentum; `nadam` is this with True.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, https://arxiv.org/abs/1412.6980
    """
    return chain(scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov), scale_by_learning_rate(learning_rate))


@factory
def adamw(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as Adam, and let the parameters decay by the learning rate alone.

        Δp = −η·( m̂ / (√(v̂ + eps_root) + eps) + weight_decay·p )

    The default decay of 1e-4 is Optax's; PyTorch's is 1e-2 and Keras's 4e-3, of the same formula.

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean of the gradient.
      b2: decay of the mean of its square.
      eps: added outside of the root.
      eps_root: added inside of the root.
      mu_dtype: dtype in which m is kept; by default that of the parameters, float32 at least.
      weight_decay: fraction of the parameters in a step, before the learning rate; a number or a schedule.
      mask: which parameters decay: a tree of bools, or a function of the parameters that returns one; None for all.
      nesterov: whether to use Nesterov's momentum; `nadamw` is this with True.

    References:
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, https://arxiv.org/abs/1711.05101
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@factory
def nadam(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """Descend as Adam with Nesterov's momentum, at constant b1.

        m̂ = b1·m / (1−b1ᵗ⁺¹) + (1−b1)·g / (1−b1ᵗ)

    PyTorch and Keras follow the schedule of b1 in Dozat's paper, each with its own constant: other numbers.

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean of the gradient.
      b2: decay of the mean of its square.
      eps: added outside of the root.
      eps_root: added inside of the root.
      mu_dtype: dtype in which m is kept; by default that of the parameters, float32 at least.
      nesterov: False makes it `adam`.

    References:
      Dozat, Incorporating Nesterov Momentum into Adam, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)


@factory
def nadamw(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask | None = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """Descend as `nadam`, and let the parameters decay as in `adamw`.

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean of the gradient.
      b2: decay of the mean of its square.
      eps: added outside of the root.
      eps_root: added inside of the root.
      mu_dtype: dtype in which m is kept; by default that of the parameters, float32 at least.
      weight_decay: fraction of the parameters in a step, before the learning rate; a number or a schedule.
      mask: which parameters decay: a tree of bools, or a function of the parameters that returns one; None for all.
      nesterov: False makes it `adamw`.

    References:
      Dozat, Incorporating Nesterov Momentum into Adam, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, https://arxiv.org/abs/1711.05101
    """
    return adamw(learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=nesterov)
