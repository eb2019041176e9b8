"""Distributed Shampoo (Shi et al. 2023): Shampoo's direction with the step size of a simpler optimizer."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, Transformation, chain, factory
from gradtx.errors import unnamed
from gradtx.require import AT_LEAST_ONE, NONNEGATIVE, POSITIVE, Range
from gradtx.schedules.scaled import corrected_weight_decay_schedule
from gradtx.transforms.momentum import ema
from gradtx.transforms.scale import scale, scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask, check_mask
from gradtx.wrappers.grafted import grafted
from gradtx.wrappers.shampoo import scale_by_shampoo

DecayType: TypeAlias = Literal["decoupled", "l2", "corrected", "independent"]


@factory(
    b2=Range(low=0, high=1),
    every=AT_LEAST_ONE,
    start=AT_LEAST_ONE,
    max_size=AT_LEAST_ONE,
    weight_decay=NONNEGATIVE,
    peak_learning_rate=POSITIVE,
)
def distributed_shampoo(
    learning_rate: ScalarOrSchedule = 0.01,
    b1: float = 0.9,
    b2: float = 1.0,
    b3: float | None = None,
    eps: float = 1e-12,
    weight_decay: float = 0.0,
    mask: Mask | None = None,
    *,
    decay_type: DecayType = "decoupled",
    peak_learning_rate: float | None = None,
    grafting: Transformation | None = None,
    every: int = 1,
    start: int | None = None,
    exponent: float | Mapping[int, float] | None = None,
    bias_correction: bool = True,
    kl: bool = False,
    root: Literal["eigh", "newton"] = "eigh",
    max_size: int = 1024,
    preconditioned: Mask | None = None,
    stagger: bool = False,
) -> GradientTransformationExtraArgs:
    """Distributed Shampoo: the mean of the gradient times inverse roots of statistics, as long as another optimizer's step.

        m̂ the mean of g with b1 (and b3)                              see `ema`
        d = m̂ ×₁ P₁ ×₂ P₂ ...                                         see `scale_by_shampoo`
        u = d·‖a‖/‖d‖, a of `grafting`; before `start`, u = a         see `grafted`
        Δp = −η·(u + λ·p)

    Without `grafting` u = d. Grafting from the family of Adam is written with the mean that Shampoo has:

        distributed_shampoo(1e-3, 0.9, 0.95, grafting=scale_by_adam(0.9, 0.95), every=10)
        grafting=ema(0.9)                                                         SGD
        grafting=scale_by_gradient_rms(ema(0.9), 0.95, bias_correction=False)     RMSprop
        grafting=scale_by_gradient_rms(ema(0.9), 1.0)                             Adagrad

    Each keeps a state of its own, a mean too. Weight decay is of four types:

        "decoupled"     Δp = −η·(u + λ·p)
        "l2"            λ·p is added to the gradient
        "corrected"     Δp = −η·(u + λ·η/η_max·p): the norm of the parameters does not grow as η falls
        "independent"   Δp = −η·u − λ·η/η_max·p: λ is the decay of a step at the largest η

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean.
      b2: decay of the statistics; 1 for their sum.
      b3: weight of the mean in what is multiplied, the rest being the gradient's: `output_decay` of `ema`.
      eps: added to the diagonal of the statistics.
      weight_decay: λ.
      mask: what decays, as in `add_decayed_weights`.
      decay_type: see above.
      peak_learning_rate: η_max; needed for the last two types where η is a schedule.
      grafting: a transformation of the gradient without a learning rate.
      every, start, exponent, bias_correction, kl, root, max_size, stagger: as in `scale_by_shampoo`; it is KL-Shampoo with
        `kl=True, exponent=0.5`.
      preconditioned: `mask` of `scale_by_shampoo`; by default all but scalars.

    Raises:
      ValueError: a number is out of its range, a word is another one, or `peak_learning_rate` is missing.

    Conventions:
      Defaults are those of facebook's code, which merges small axes before: here a leaf keeps its axes.

    References:
      Shi et al., A Distributed Data-Parallel PyTorch Implementation of the Distributed Shampoo Optimizer for Training Neural
        Networks At-Scale, 2023, https://arxiv.org/abs/2309.06497
      Anil et al., Scalable Second Order Optimization for Deep Learning, 2020, https://arxiv.org/abs/2002.09018
      Defazio, Why Gradients Rapidly Increase Near the End of Training, 2025, https://arxiv.org/abs/2506.02285
    """
    if preconditioned is not None:
        check_mask(preconditioned, "preconditioned")
    direction = scale_by_shampoo(
        ema(b1, output_decay=b3),
        decay=b2,
        eps=eps,
        every=every,
        start=start,
        exponent=exponent,
        bias_correction=bias_correction,
        kl=kl,
        root=root,
        max_size=max_size,
        mask=preconditioned,
        stagger=stagger,
    )
    if grafting is not None:
        direction = grafted(direction, grafting, begin=(every if start is None else start) - 1)
    return _with_decay(direction, learning_rate, weight_decay, mask, decay_type, peak_learning_rate)


def _with_decay(
    direction: Transformation,
    learning_rate: ScalarOrSchedule,
    weight_decay: Any,
    mask: Mask | None,
    decay_type: DecayType,
    peak: Any,
) -> GradientTransformationExtraArgs:
    step = scale_by_learning_rate(learning_rate)
    if decay_type == "l2":
        return chain(add_decayed_weights(weight_decay, mask), direction, step)
    if decay_type == "decoupled":
        return chain(direction, add_decayed_weights(weight_decay, mask), step)
    decay = _relative(learning_rate, weight_decay, decay_type, peak)
    if decay_type == "corrected":
        return chain(direction, add_decayed_weights(decay, mask), step)
    upwards = scale_by_learning_rate(learning_rate, flip_sign=False)
    return chain(direction, upwards, add_decayed_weights(decay, mask), scale(-1.0))


def _relative(learning_rate: ScalarOrSchedule, weight_decay: Any, decay_type: DecayType, peak: Any) -> ScalarOrSchedule:
    """λ·η/η_max."""
    if not callable(learning_rate):
        return weight_decay if peak is None else weight_decay * (learning_rate / peak)
    if peak is None:
        raise unnamed(
            ValueError,
            f'decay_type="{decay_type}" with a schedule needs the largest learning rate: write peak_learning_rate=...',
        )
    return corrected_weight_decay_schedule(weight_decay, learning_rate, peak)
