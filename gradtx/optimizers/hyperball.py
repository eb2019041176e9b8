"""Hyperball optimizers (Wen et al. 2026): steps of one angle on spheres of parameters."""

from collections.abc import Callable
from typing import Any

from jax.typing import DTypeLike

from gradtx.core import GradientTransformationExtraArgs, Params, ScalarOrSchedule, Transformation, chain, factory
from gradtx.optimizers.adam import scale_by_adam
from gradtx.optimizers.muon import Coefficients, scale_by_muon
from gradtx.require import AT_LEAST_ONE, DECAY
from gradtx.transforms.norms_of_parameters import keep_norm
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.trust_ratio import scale_by_trust_ratio


@factory
def adamh(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """AdamH: Adam's direction, with a step relative to the parameters, whose norm stays as it is; no weight decay is needed.

        u = m̂ / (√(v̂ + eps_root) + eps)        means of `scale_by_adam`
        q = p − η·r·u/‖u‖                       r: the norm of each array at the beginning
        p ← r·q/‖q‖

    The learning rate is about the angle of a step. It is made for matrices; see `keep_norm` for scalars, gains and biases:

        partition({"matrices": adamh(0.02), "others": adam(1e-3)}, labels)

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, eps_root, mu_dtype, nesterov: as in `scale_by_adam`.

    References:
      Wen et al., Fantastic Pretraining Optimizers and Where to Find Them II: Hyperball Optimization, 2026,
        https://arxiv.org/abs/2606.16899
    """
    return _on_spheres(scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov), learning_rate)


@factory(beta=DECAY, ns_steps=AT_LEAST_ONE)
def muonh(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Coefficients = (3.4445, -4.775, 2.0315),
    ns_steps: int = 5,
    beta: float = 0.95,
    eps: float = 1e-8,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
) -> GradientTransformationExtraArgs:
    """MuonH: Muon's direction, with a step relative to the parameters, whose norm stays as it is; for matrices alone.

        u = UVᵀ of the mean m̂ = UΣVᵀ of the gradient        see `scale_by_muon`
        q = p − η·r·u/‖u‖                                  r: the norm of each array at the beginning
        p ← r·q/‖q‖

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      ns_coeffs, ns_steps, beta, eps, mu_dtype, nesterov, weight_dimension_numbers: as in `scale_by_muon`. Of an array that
        holds several matrices the norm is that of all together.

    Raises:
      ValueError: a parameter is not a matrix and has no dimension numbers.

    References:
      Wen et al., Fantastic Pretraining Optimizers and Where to Find Them II: Hyperball Optimization, 2026,
        https://arxiv.org/abs/2606.16899
    """
    direction = scale_by_muon(
        ns_coeffs,
        ns_steps,
        beta,
        eps,
        mu_dtype,
        nesterov=nesterov,
        weight_dimension_numbers=weight_dimension_numbers,
    )
    return _on_spheres(direction, learning_rate)


def _on_spheres(direction: Transformation, learning_rate: ScalarOrSchedule) -> GradientTransformationExtraArgs:
    return chain(direction, scale_by_trust_ratio(), scale_by_learning_rate(learning_rate), keep_norm())
