"""AdaMuon (Si et al. 2025): Muon of signs, with a second moment for each entry."""

import functools
from collections.abc import Callable
from typing import Any

from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Transformation,
    Updates,
    chain,
    factory,
    init_empty_state,
)
from gradtx.numerics import bounded_square, safe_sqrt, squarable
from gradtx.optimizers.adam import scale_by_adam
from gradtx.optimizers.muon import MuonDimensionNumbers, for_matrices, scale_by_muon, stepping
from gradtx.optimizers.muon_coefficients import Coefficients
from gradtx.optimizers.rmsprop import scale_by_rms
from gradtx.require import AT_LEAST_ONE, DECAY, NONNEGATIVE
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.along import mean_along, size_along
from gradtx.tree.masks import Mask
from gradtx.tree.matrices import Axes, axes_of_matrices, by_axes, numbers_of


@factory(rms=NONNEGATIVE)
def normalize_by_matrix_rms(
    rms: float = 0.2, eps: float = 1e-8, *, weight_dimension_numbers: Any | Callable[[Params], Any] | None = None
) -> GradientTransformation:
    """Give the update of each matrix the same root mean square: u ← rms·√size·u / (‖u‖ + eps).

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      rms: the root mean square of the result; 0.2 is about that of Adam's updates.
      eps: added to the Frobenius norm of the matrix.
      weight_dimension_numbers: which axes are inputs and outputs; see `scale_by_muon`. All that it sees must be matrices.

    Raises:
      ValueError: a parameter has no dimension numbers, or other axes than they say.

    References:
      Si et al., AdaMuon: Adaptive Muon Optimizer, 2025, https://arxiv.org/abs/2507.11005
    """

    @functools.cache
    def rule(matrix: Axes) -> Callable[..., Any]:
        @tree.lift
        def rule(u):
            root_mean_square = safe_sqrt(mean_along(bounded_square(u), matrix, keepdims=True))
            return squarable(u) * (rms / (root_mean_square + eps / max(1, size_along(u, matrix)) ** 0.5))

        return rule

    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        axes = axes_of_matrices(updates, numbers_of(weight_dimension_numbers, updates, MuonDimensionNumbers()))
        return by_axes(updates, axes, lambda part, rows, columns: rule(rows + columns)(part)), state

    return GradientTransformation(init_empty_state, update)


@factory(
    beta=DECAY,
    ns_eps=NONNEGATIVE,
    rms=NONNEGATIVE,
    ns_steps=AT_LEAST_ONE,
    adam_b1=DECAY,
    adam_b2=DECAY,
    adam_weight_decay=NONNEGATIVE,
    adam_learning_rate=NONNEGATIVE,
)
def adamuon(
    learning_rate: ScalarOrSchedule,
    beta: float = 0.95,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: Mask | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    rms: float = 0.2,
    ns_coeffs: Coefficients = "standard",
    ns_steps: int = 5,
    ns_eps: float = 1e-7,
    nesterov: bool = True,
    adam_b1: float = 0.9,
    adam_b2: float = 0.999,
    adam_weight_decay: ScalarOrSchedule = 0.0,
    adam_learning_rate: ScalarOrSchedule | None = None,
    muon_weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
) -> GradientTransformationExtraArgs:
    """AdaMuon: orthogonalized signs of the momentum over their root mean square; not for vectors, which use AdamW.

        o = UVᵀ of sign(m) = UΣVᵀ          m the mean of the gradient; see `scale_by_muon`
        v ← beta·v + (1−beta)·o²
        u = o / (√v + eps)
        Δp = −η·(rms·√size·u / (‖u‖ + eps) + weight_decay·p)

    All updates have the root mean square `rms`, about that of AdamW's, so that both can have one learning rate.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      beta: decay of both means, which are not corrected for their bias.
      eps: keeps what is divided by above 0, in Adam, too.
      weight_decay, weight_decay_mask: of the matrices; see `add_decayed_weights`.
      rms: root mean square of the updates of matrices; see `normalize_by_matrix_rms`.
      mu_dtype, ns_coeffs, ns_steps, nesterov: as in `scale_by_muon`.
      ns_eps: `eps` of `scale_by_muon`.
      adam_b1, adam_b2: `b1` and `b2` of `scale_by_adam`.
      adam_weight_decay, adam_learning_rate: those of parameters that are not matrices; the learning rate is η by default.
      muon_weight_dimension_numbers: which parameters are matrices, and of which axes; see `muon`.

    Conventions:
      As in the authors' code, which iterates in bfloat16; pytorch_optimizer's AdaMuon takes no sign and no Nesterov momentum,
      and corrects v for its bias.

    References:
      Si et al., AdaMuon: Adaptive Muon Optimizer, 2025, https://arxiv.org/abs/2507.11005
    """

    def matrices(numbers: Callable[[Any], Any]) -> Transformation:
        return chain(
            scale_by_muon(
                ns_coeffs,
                ns_steps,
                beta,
                ns_eps,
                mu_dtype,
                nesterov=nesterov,
                bias_correction=False,
                sign=True,
                weight_dimension_numbers=numbers,
            ),
            scale_by_rms(beta, eps, eps_in_sqrt=False),
            normalize_by_matrix_rms(rms, eps, weight_dimension_numbers=numbers),
            add_decayed_weights(weight_decay, weight_decay_mask),
            scale_by_learning_rate(learning_rate),
        )

    direction = scale_by_adam(adam_b1, adam_b2, eps, mu_dtype=mu_dtype)
    rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    others = stepping(direction, adam_weight_decay, weight_decay_mask, rate)
    return for_matrices(matrices, others, muon_weight_dimension_numbers)
