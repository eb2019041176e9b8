"""GaLore (Zhao et al. 2024): Adam, or another, in the leading directions of the gradients."""

from collections.abc import Callable
from typing import Any

from gradtx.core import (
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Transformation,
    chain,
    factory,
)
from gradtx.optimizers.adam import scale_by_adam
from gradtx.require import AT_LEAST_ONE
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask
from gradtx.wrappers.low_rank import low_rank


@factory(rank=AT_LEAST_ONE, update_proj_gap=AT_LEAST_ONE)
def scale_by_galore(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    base_optimizer: Transformation | None = None,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
) -> GradientTransformationExtraArgs:
    """GaLore's rescaling: Adam's, or another one, in the leading singular directions of the gradients; see `low_rank`.

    Args:
      rank, update_proj_gap, scale, weight_dimension_numbers: as in `low_rank`.
      base_optimizer: what sees the gradients there, and must not read the parameters; by default `scale_by_adam()`.

    References:
      Zhao et al., GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection, 2024,
        https://arxiv.org/abs/2403.03507
    """
    inner = scale_by_adam() if base_optimizer is None else base_optimizer
    return low_rank(inner, rank, update_proj_gap, scale, weight_dimension_numbers)


@factory(rank=AT_LEAST_ONE, update_proj_gap=AT_LEAST_ONE)
def galore(
    learning_rate: ScalarOrSchedule,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    base_optimizer: Transformation | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
) -> GradientTransformationExtraArgs:
    """GaLore: Adam in the leading singular directions of the gradients, with a state as small as they are.

        P ← U[:, :rank]   of G = UΣVᵀ, every update_proj_gap steps
        Δp = −η·( scale·P·adam(Pᵀ·G) + weight_decay·p )

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      rank, update_proj_gap, scale, base_optimizer, weight_dimension_numbers: as in `scale_by_galore`.
      weight_decay, mask: as in `adamw`.

    References:
      Zhao et al., 2024, https://arxiv.org/abs/2403.03507
    """
    return chain(
        scale_by_galore(rank, update_proj_gap, scale, base_optimizer, weight_dimension_numbers),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
