"""Policies that learn from rewards."""

from gradtx import require
from gradtx.core import GradientTransformation, Scalar, chain, keeps_contract
from gradtx.errors import names_errors
from gradtx.optimizers.adam import adam
from gradtx.schedules import linear_schedule
from gradtx.transforms.clipping import clip_by_global_norm


@names_errors
@keeps_contract(total_steps=require.AT_LEAST_ONE)
def reinforcement_learning(
    learning_rate: Scalar = 2.5e-4,
    *,
    total_steps: int,
    eps: float = 1e-5,
    max_norm: float = 0.5,
) -> GradientTransformation:
    """PPO: Adam with a larger eps, a rate that falls along a line to 0, gradients clipped by their norm.

    As published by Schulman et al. for Atari: 2.5e-4, along a line to 0. Huang et al. find the rest in the authors' code:
    eps = 1e-5 (detail 3), and gradients clipped at a norm of 0.5 (detail 11); for robots (MuJoCo) 3e-4.

    Args:
      learning_rate: the first rate.
      total_steps: how many updates the training has: iterations × epochs × mini-batches, not steps of the environment.
      eps: as in `adam`.
      max_norm: as in `clip_by_global_norm`.

    Raises:
      ValueError: a number is out of its range.

    References:
      Schulman et al., Proximal Policy Optimization Algorithms, 2017, https://arxiv.org/abs/1707.06347
      Huang et al., The 37 Implementation Details of Proximal Policy Optimization, 2022,
        https://iclr-blog-track.github.io/2022/03/25/ppo-implementation-details/
    """
    schedule = linear_schedule(learning_rate, end_value=0.0, transition_steps=total_steps)
    return chain(clip_by_global_norm(max_norm), adam(schedule, eps=eps))
