"""SPlus (Frans et al. 2025): signs in the eigenbases of Shampoo's statistics."""

import jax

from gradtx import tree
from gradtx.core import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
    init_empty_state,
)
from gradtx.optimizers.sign_sgd import scale_by_sign
from gradtx.require import AT_LEAST_ONE, DECAY, NONNEGATIVE
from gradtx.transforms.momentum import ema
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask
from gradtx.tree.scopes import as_whole, whole_shape
from gradtx.wrappers.in_eigenbasis import in_eigenbasis


@factory(statistics_decay=DECAY, every=AT_LEAST_ONE, other_factor=NONNEGATIVE, max_size=AT_LEAST_ONE)
def splus(
    learning_rate: ScalarOrSchedule = 0.1,
    b1: float = 0.9,
    weight_decay: ScalarOrSchedule = 0.01,
    mask: Mask | None = None,
    *,
    statistics_decay: float = 0.999,
    every: int = 100,
    other_factor: float = 1e-3,
    max_size: int = 10_000,
) -> GradientTransformationExtraArgs:
    """SPlus: the signs of the mean of the gradient in the eigenbases of Shampoo's statistics.

        m ← b1·m + (1−b1)·g
        p ← p − η·c·( Q₁·sign(Q₁ᵀ·m·Q₂)·Q₂ᵀ + λ·p )        c = 2/(rows + columns)

    Bases are the eigenvectors after the first step and after every so many; at first they are the coordinates. What is not a
    matrix steps by the signs of its mean, with `other_factor` for c. The authors evaluate at an average of the parameters: put
    `exponentially_averaged` around it.

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean of the gradient, whose bias is not corrected.
      weight_decay, mask: as in `add_decayed_weights`.
      statistics_decay, every, max_size: as in `in_eigenbasis`.
      other_factor: c of what is not a matrix.

    Raises:
      ValueError: a number is out of its range.

    References:
      Frans, Levine and Abbeel, A Stable Whitening Optimizer for Efficient Neural Network Training, 2025,
        https://arxiv.org/abs/2506.07254
    """
    signs = chain(ema(b1, debias=False), scale_by_sign())
    return chain(
        in_eigenbasis(
            signs,
            decay=statistics_decay,
            every=every,
            rotate=("ema",),
            start="identity",
            basis="eigh",
            max_size=max_size,
            mask=matrices,
        ),
        add_decayed_weights(weight_decay, mask),
        scale_by_side_lengths(other_factor),
        scale_by_learning_rate(learning_rate),
    )


def matrices(params: Params) -> Params:
    """Mask that is True for arrays of two axes."""
    return jax.tree.map(lambda p: p.ndim == 2, as_whole(params))


@factory(other_factor=NONNEGATIVE)
def scale_by_side_lengths(other_factor: float = 1e-3) -> GradientTransformation:
    """SPlus's factor for learning rates that fit any width: u = 2/(rows + columns)·g of a matrix.

    Args:
      other_factor: the factor of what is not a matrix.

    References:
      Frans, Levine and Abbeel, 2025, https://arxiv.org/abs/2506.07254
    """

    @tree.lift
    def rule(g):
        shape = whole_shape(g)
        return (2 / sum(shape) if len(shape) == 2 and sum(shape) else other_factor) * g

    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        return rule(updates), state

    return GradientTransformation(init_empty_state, update)
