"""Fromage (Bernstein et al. 2020)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, at_step, chain, factory
from gradtx.require import NONNEGATIVE
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.trust_ratio import scale_by_trust_ratio
from gradtx.transforms.weight_decay import add_decayed_weights


@factory(min_norm=NONNEGATIVE)
def fromage(learning_rate: ScalarOrSchedule, min_norm: float = 1e-6) -> GradientTransformationExtraArgs:
    """Fromage: steps relative to the norm of each array, which do not let the parameters grow.

        p ← ( p − η·‖p‖/‖g‖·g ) / √(1 + η²)

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      min_norm: the least norm that counts, of parameters and of gradients.

    References:
      Bernstein et al., On the distance between two neural networks and the stability of learning, 2020,
        https://arxiv.org/abs/2002.03432
    """

    def step(rate):
        return rate / jnp.sqrt(1 + rate**2)

    def shrinkage(rate):
        root = jnp.sqrt(1 + rate**2)
        return -(rate**2) / (root * (1 + root))  # 1/root − 1, of which float32 would lose all digits at small rates

    return chain(
        scale_by_trust_ratio(min_norm),
        scale_by_learning_rate(_of(step, learning_rate)),
        add_decayed_weights(_of(shrinkage, learning_rate)),
    )


def _of(f: Callable[[Any], jax.Array], learning_rate: ScalarOrSchedule) -> ScalarOrSchedule:
    """A function of the learning rate, as a schedule if that is one."""
    return (lambda count: f(at_step(learning_rate, count))) if callable(learning_rate) else f(learning_rate)
