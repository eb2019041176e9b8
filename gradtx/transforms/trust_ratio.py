"""The trust ratio of LARS and LAMB (You et al. 2017, 2020)."""

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import EmptyState, GradientTransformation, Params, Updates, factory, init_empty_state
from gradtx.require import NONNEGATIVE

ScaleByTrustRatioState = EmptyState


@factory(min_norm=NONNEGATIVE, trust_coefficient=NONNEGATIVE)
def scale_by_trust_ratio(min_norm: float = 0.0, trust_coefficient: float = 1.0, eps: float = 0.0) -> GradientTransformation:
    """LARS's and LAMB's trust ratio: give the update of each array the norm of its parameters.

        u = trust_coefficient · ‖p‖ / (‖g‖ + eps) · g

    Where one of the norms is 0, u = g.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      min_norm: the least norm that counts, of parameters and of updates.
      trust_coefficient: the size of an update relative to the parameters.
      eps: added to the norm of the update.

    References:
      You et al., Large Batch Training of Convolutional Networks, 2017, https://arxiv.org/abs/1708.03888
    """

    @tree.lift
    def rule(g, p):
        param_norm, update_norm = (jnp.maximum(tree.norm(x), min_norm) for x in (p, g))
        nothing = (param_norm == 0) | (update_norm == 0)
        # Two factors, each of which is finite: the ratio of the norms may not be.
        unit = g / jnp.where(nothing, 1, update_norm + eps)
        return unit * jnp.where(nothing, 1, trust_coefficient * param_norm)

    def update(updates: Updates, state: EmptyState, params: Params):
        return rule(updates, params), state

    return GradientTransformation(init_empty_state, update)
