"""Fira (Chen et al. 2024): Adam in the leading directions of the gradients, and updates of full rank."""

from collections.abc import Callable
from typing import Any

from gradtx.core import GradientTransformationExtraArgs, Params, ScalarOrSchedule, chain, factory
from gradtx.optimizers.apollo import adam_without_correction, bias_correction_of_adam
from gradtx.require import AT_LEAST_ONE, DECAY
from gradtx.transforms.scale import scale_by_learning_rate, scale_by_schedule
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask
from gradtx.wrappers.low_rank_residual import low_rank_with_residual


@factory(rank=AT_LEAST_ONE, update_proj_gap=AT_LEAST_ONE, b1=DECAY, b2=DECAY, max_growth=AT_LEAST_ONE)
def fira(
    learning_rate: ScalarOrSchedule,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
    *,
    max_growth: float | None = 1.01,
) -> GradientTransformationExtraArgs:
    """Fira: Adam in the leading singular directions of the gradients, and the rest of them as long as its steps are there.

        P ← U[:, :rank]   of G = UΣVᵀ, every update_proj_gap steps
        R = Pᵀ·G, m, v of R as in Adam, r = m / (√v + eps)
        D = (G − scale·P·R)·(‖r‖ / ‖R‖)         for each column of a wide matrix, row of a tall one; shortened to
                                                 max_growth·‖last D‖
        Δp = −η·( √(1−b2ᵗ)/(1−b1ᵗ)·(scale·P·r + D) + weight_decay·p )

    What is not a matrix steps as in Adam.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      rank, update_proj_gap, scale, weight_dimension_numbers, max_growth: as in `low_rank_with_residual`.
      b1, b2, eps: of Adam, in the order of operations whose epsilon is not corrected for its bias.
      weight_decay, mask: as in `adamw`.

    Conventions:
      It moves as the authors' package does without weight decay, which there is of the parameters after the step:
      `chain(fira(η), decay_after_step(η, weight_decay))`. There one lists the parameters that are to be projected; here all
      arrays of two axes are, unless dimension numbers say otherwise.

    Raises:
      ValueError: as `low_rank_with_residual`.

    References:
      Chen et al., Fira: Can We Achieve Full-rank Training of LLMs Under Low-rank Constraint?, 2024,
        https://arxiv.org/abs/2410.01623
    """
    adam = adam_without_correction(b1, b2, eps)
    return chain(
        low_rank_with_residual(adam, rank, update_proj_gap, scale, weight_dimension_numbers, max_growth=max_growth),
        scale_by_schedule(bias_correction_of_adam(b1, b2)),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
