"""Scale the update of each array by the size of its parameters."""

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import EmptyState, GradientTransformation, Params, Updates, factory, init_empty_state
from gradtx.require import NONNEGATIVE
from gradtx.tree import mismatch
from gradtx.tree.along import size_along


@factory(min_scale=NONNEGATIVE)
def scale_by_param_block_norm(min_scale: float = 1e-3) -> GradientTransformation:
    """Multiply the update of each array by the norm of its parameters: u = g · max(‖p‖, min_scale).

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      min_scale: the least norm that counts, so that parameters at zero can move.
    """

    @tree.lift
    def rule(g, p):
        return g * jnp.maximum(tree.norm(p), min_scale)

    def update(updates: Updates, state: EmptyState, params: Params):
        return rule(updates, params), state

    return GradientTransformation(init_empty_state, update)


@factory(min_scale=NONNEGATIVE)
def scale_by_param_block_rms(min_scale: float = 1e-3) -> GradientTransformation:
    """Multiply the update of each array by the root mean square of its parameters: u = g · max(rms(p), min_scale).

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      min_scale: the least root mean square that counts, so that parameters at zero can move.

    References:
      Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, section 8, 2018,
        https://arxiv.org/abs/1804.04235
    """

    @tree.lift
    def rule(g, p):
        rms = tree.norm(p) / max(1, size_along(p)) ** 0.5
        return g * jnp.maximum(rms, min_scale)

    def update(updates: Updates, state: EmptyState, params: Params):
        with mismatch.explaining(g=updates, p=params):
            return rule(updates, params), state

    return GradientTransformation(init_empty_state, update)
