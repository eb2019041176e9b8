"""SOAP (Vyas et al. 2024): Adam in the eigenbases of Shampoo's statistics."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, Transformation, chain, factory
from gradtx.optimizers.adam import scale_by_adam
from gradtx.require import AT_LEAST_ONE, DECAY
from gradtx.transforms.decay_after_step import decay_after_step
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.tree.masks import Mask, check_mask
from gradtx.wrappers.in_eigenbasis import in_eigenbasis


@factory(statistics_decay=DECAY, every=AT_LEAST_ONE, max_size=AT_LEAST_ONE)
def soap(
    learning_rate: ScalarOrSchedule = 3e-3,
    b1: float = 0.95,
    b2: float = 0.95,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    mask: Mask | None = None,
    *,
    statistics_decay: float | None = None,
    every: int = 10,
    max_size: int = 10_000,
    rotated: Mask | None = None,
    stagger: bool = False,
) -> GradientTransformationExtraArgs:
    """SOAP: Adam in the eigenbases of Shampoo's statistics, which are made again every few steps.

        g' = Q₁ᵀ·g·Q₂        m, v of g' as in `scale_by_adam`
        p ← p − η·Q₁·( m̂ / (√v̂ + eps/√(1−b2ᵗ)) )·Q₂ᵀ
        p ← (1 − η·λ)·p

    The first gradients make the first bases, and no step. What is not rotated goes by Adam.

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2: decays of the means of the rotated gradient and of its square.
      eps: added outside of the root, before the bias of v is corrected.
      weight_decay: λ.
      mask: what decays, as in `add_decayed_weights`.
      statistics_decay: of the statistics; None for `b2`.
      every, max_size, stagger: as in `in_eigenbasis`.
      rotated: the mask of `in_eigenbasis`, which leaves are rotated; by default those of two axes or more.

    Raises:
      ValueError: a number is out of its range.

    Conventions:
      As in the authors' code: bases by one step of a QR iteration, eps before the correction, decay after the step and by the
      full rate, no step and no decay at first. Other packages compute bases in float32, or renew v only when they change.

    References:
      Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2024, https://arxiv.org/abs/2409.11321
    """
    inner = scale_by_adam(b1, b2, eps, debias_eps=True)
    decay = b2 if statistics_decay is None else statistics_decay
    rotation = _rotation(inner, decay, every, max_size, rotated, kl=False, stagger=stagger)
    return chain(rotation, scale_by_learning_rate(learning_rate), decay_after_step(learning_rate, weight_decay, mask, begin=1))


@factory(statistics_decay=DECAY, every=AT_LEAST_ONE, max_size=AT_LEAST_ONE)
def kl_soap(
    learning_rate: ScalarOrSchedule = 3e-3,
    b1: float = 0.95,
    b2: float = 0.95,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    mask: Mask | None = None,
    *,
    statistics_decay: float | None = None,
    every: int = 10,
    max_size: int = 10_000,
    rotated: Mask | None = None,
    stagger: bool = False,
) -> GradientTransformationExtraArgs:
    """KL-SOAP: SOAP in the eigenbases of statistics that are taken of the gradient preconditioned along the other axes.

        h₁ = g·Q₂·Λ₂^(−½), h₂ = Λ₁^(−½)·Q₁ᵀ·g        G₁ ← β·G₁ + (1−β)·h₁·h₁ᵀ/columns, G₂ ← β·G₂ + (1−β)·h₂ᵀ·h₂/rows
        all else as in `soap`, with Adam's eps outside of v̂

    Args:
      learning_rate, b1, b2, eps, weight_decay, mask: as in `soap`.
      statistics_decay, every, max_size, rotated, stagger: as in `soap`.

    Raises:
      ValueError: a number is out of its range.

    Conventions:
      The paper keeps means of the eigenvalues Λ; here, and in NVIDIA's Emerging Optimizers, they are the diagonals of QᵀGQ,
      which are these means as long as a basis stays.

    References:
      Lin et al., Understanding and Improving Shampoo and SOAP via Kullback-Leibler Minimization, 2025,
        https://arxiv.org/abs/2509.03378
    """
    decay = b2 if statistics_decay is None else statistics_decay
    rotation = _rotation(scale_by_adam(b1, b2, eps), decay, every, max_size, rotated, kl=True, stagger=stagger)
    return chain(rotation, scale_by_learning_rate(learning_rate), decay_after_step(learning_rate, weight_decay, mask, begin=1))


def _rotation(
    inner: Transformation, decay: float, every: int, max_size: int, rotated: Mask | None, *, kl: bool, stagger: bool
) -> GradientTransformationExtraArgs:
    if rotated is not None:
        check_mask(rotated, "rotated")
    return in_eigenbasis(inner, decay=decay, every=every, max_size=max_size, mask=rotated, kl=kl, stagger=stagger)
