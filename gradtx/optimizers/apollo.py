"""APOLLO (Zhu et al. 2024): AdamW's steps with a state about as small as that of SGD."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx.core import (
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Schedule,
    Transformation,
    chain,
    factory,
)
from gradtx.numerics import debias, safe_increment
from gradtx.require import AT_LEAST_ONE, DECAY, NONNEGATIVE
from gradtx.transforms.momentum import ema
from gradtx.transforms.scale import scale_by_learning_rate, scale_by_schedule
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask
from gradtx.tree.randomness import one_key
from gradtx.wrappers.gradient_rms import scale_by_gradient_rms
from gradtx.wrappers.low_rank_norms import scale_by_low_rank_norms


@factory(rank=AT_LEAST_ONE, update_proj_gap=AT_LEAST_ONE, scale=NONNEGATIVE, b1=DECAY, b2=DECAY, max_growth=AT_LEAST_ONE)
def apollo(
    learning_rate: ScalarOrSchedule,
    rank: int = 256,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
    *,
    per: Literal["channel", "matrix"] = "channel",
    max_growth: float | None = 1.01,
    key: jax.Array | int | None = None,
    seed: int | None = None,
) -> GradientTransformationExtraArgs:
    """APOLLO: gradients whose channels are as long as Adam's steps, which are taken of a random projection of them.

        R = Pᵀ·G                                 P random, drawn anew every update_proj_gap steps
        m, v of R as in Adam, r = m / (√v + eps)
        u = √scale·G·(‖r‖ / ‖R‖)                 for each column of a wide matrix, row of a tall one; shortened to
                                                 max_growth·‖last u‖
        Δp = −η·( √(1−b2ᵗ)/(1−b1ᵗ)·u + weight_decay·p )

    For what is not a matrix u is that of Adam. Of the state of AdamW the part rank / (short side) is left.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      rank, update_proj_gap, scale, weight_dimension_numbers, per, max_growth, key, seed: as in `scale_by_low_rank_norms`.
      b1, b2, eps: of Adam, in the order of operations whose epsilon is not corrected for its bias.
      weight_decay, mask: as in `adamw`.

    Conventions:
      It moves as the authors' package does without weight decay, which there is of the parameters after the step:
      `chain(apollo(η), decay_after_step(η, weight_decay))`. There one lists the parameters that are to be projected; here all
      arrays of two axes are, unless dimension numbers say otherwise.

    Raises:
      ValueError: as `scale_by_low_rank_norms`.

    References:
      Zhu et al., APOLLO: SGD-like Memory, AdamW-level Performance, 2024, https://arxiv.org/abs/2412.05270
    """
    rescaled = scale_by_low_rank_norms(
        adam_without_correction(b1, b2, eps),
        rank,
        update_proj_gap,
        scale,
        weight_dimension_numbers,
        per=per,
        max_growth=max_growth,
        key=one_key("apollo", key, seed, default=0),
    )
    return chain(
        rescaled,
        scale_by_schedule(bias_correction_of_adam(b1, b2)),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@factory(rank=AT_LEAST_ONE, update_proj_gap=AT_LEAST_ONE, scale=NONNEGATIVE, b1=DECAY, b2=DECAY, max_growth=AT_LEAST_ONE)
def apollo_mini(
    learning_rate: ScalarOrSchedule,
    rank: int = 1,
    update_proj_gap: int = 200,
    scale: float = 128.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
    *,
    max_growth: float | None = 1.01,
    key: jax.Array | int | None = None,
    seed: int | None = None,
) -> GradientTransformationExtraArgs:
    """APOLLO-Mini: APOLLO of one direction, with one factor for each matrix; its state is about that of SGD.

        u = √scale·G·(‖r‖ / ‖R‖)        norms of the whole matrix; see `apollo`

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      rank, update_proj_gap, scale, weight_dimension_numbers, max_growth, key, seed: as in `scale_by_low_rank_norms`.
      b1, b2, eps, weight_decay, mask: as in `apollo`.

    Raises:
      ValueError: as `scale_by_low_rank_norms`.

    References:
      Zhu et al., APOLLO: SGD-like Memory, AdamW-level Performance, 2024, https://arxiv.org/abs/2412.05270
    """
    return apollo(
        learning_rate,
        rank,
        update_proj_gap,
        scale,
        b1,
        b2,
        eps,
        weight_decay,
        mask,
        weight_dimension_numbers,
        per="matrix",
        max_growth=max_growth,
        key=one_key("apollo_mini", key, seed, default=0),
    )


def adam_without_correction(b1: float, b2: float, eps: float) -> Transformation:
    """Return Adam's rescaling m / (√v + eps), whose means are not corrected for their bias.

    What bounds the growth of its steps then sees them as the authors' packages do, which correct afterwards.
    """
    return scale_by_gradient_rms(ema(b1, debias=False), b2, eps, bias_correction=False)


def bias_correction_of_adam(b1: float, b2: float) -> Schedule:
    """Return √(1−b2ᵗ) / (1−b1ᵗ), what those steps are multiplied by."""

    def correction(count: Any) -> jax.Array:
        step = safe_increment(count)
        return jnp.sqrt(debias(b2, step)) / debias(b1, step)

    return correction
