"""torch.optim.Adam and AdamW."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, factory
from gradtx.interop.torch.composition import b1_and_b2, composed, scheduled
from gradtx.optimizers.adam import scale_by_adam
from gradtx.optimizers.amsgrad import scale_by_amsgrad


@factory
def adam(
    lr: ScalarOrSchedule = 1e-3,
    betas: tuple[ScalarOrSchedule, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's Adam does.

        g ← g + weight_decay·p       a penalty, which the division below all but undoes; see `adamw`
        Δp = −lr·m̂ / (√v̂ + eps)     with the means m̂ and v̂ of `scale_by_adam`; eps is not debiased, as it is in Keras

    With `amsgrad`, v̂ is made of the largest v so far, corrected afterwards; Optax's `amsgrad` corrects first.

    Args:
      lr: learning rate, a number or a schedule.
      betas: decays of the means of the gradient and of its square; the first may be a schedule.
      eps: added outside of the root.
      weight_decay: factor of the penalty, or of the decay.
      amsgrad: whether to divide by the largest mean so far.
      maximize: whether to ascend.
      decoupled_weight_decay: whether the weight decay is that of AdamW.

    Raises:
      ValueError: a number is out of its range.
    """
    moments = b1_and_b2(betas)
    if amsgrad:
        direction = scheduled(scale_by_amsgrad, **moments, eps=eps, max_before_debias=True)
    else:
        direction = scheduled(scale_by_adam, **moments, eps=eps)
    return composed(direction, lr=lr, weight_decay=weight_decay, decoupled=decoupled_weight_decay, maximize=maximize)


@factory
def adamw(
    lr: ScalarOrSchedule = 1e-3,
    betas: tuple[ScalarOrSchedule, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's AdamW does: `adam` with decoupled weight decay.

        Δp = −lr·(m̂ / (√v̂ + eps) + weight_decay·p)

    The decay is 0.01 by default; 0.0001 in Optax, 0.004 in Keras, 0 in the Trainer of transformers.

    Args:
      lr: learning rate, a number or a schedule.
      betas, eps, amsgrad: see `adam`.
      weight_decay: factor of the decay.
      maximize: whether to ascend; the parameters decay all the same.

    Raises:
      ValueError: a number is out of its range.
    """
    return adam(lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)
