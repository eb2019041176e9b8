"""AMSGrad (Reddi et al. 2018)."""

from jax.typing import DTypeLike

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.transforms.amsgrad import scale_by_amsgrad
from gradtx.transforms.scale import scale_by_learning_rate


@factory
def amsgrad(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformationExtraArgs:
    """Descend as Adam with steps that never lengthen: divided by the largest mean square so far.

        w ← max(w, v̂)
        Δp = −η·m̂ / (√(w + eps_root) + eps)

    m̂ and v̂ are those of `adam`.

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean of the gradient.
      b2: decay of the mean of its square.
      eps: added outside of the root.
      eps_root: added inside of the root.
      mu_dtype: dtype in which m is kept; by default that of the parameters, float32 at least.
      bias_correction_mu: False uses m in place of m̂.
      bias_correction_nu: False uses v in place of v̂.

    Conventions:
      The maximum is that of the corrected v̂, as in Optax; PyTorch and Keras take that of v and correct it afterwards
      (`max_before_debias` of `scale_by_amsgrad`). Exactly theirs are `interop.torch.adam` and `interop.keras.adam` with
      `amsgrad`.

    References:
      Reddi, Kale and Kumar, On the Convergence of Adam and Beyond, 2018, https://openreview.net/forum?id=ryQu7f-RZ
    """
    return chain(
        scale_by_amsgrad(b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu),
        scale_by_learning_rate(learning_rate),
    )
