"""Distance over gradients, layer by layer (Ivgi et al. 2023)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import GradientTransformation, Params, Updates, factory, tells
from gradtx.optimizers.dog import root_of_sum
from gradtx.require import NONNEGATIVE, POSITIVE


class ScaleByDistanceOverGradientsState(NamedTuple):
    """For each leaf: greatest distance from the start, sum of squares of the gradients, the start."""

    max_dist: Updates
    grad_sum_of_squares: Updates
    init_params: Params


@factory(reps_rel=POSITIVE, global_scale=NONNEGATIVE)
def scale_by_distance_over_gradients(
    reps_rel: float = 1e-6, eps: float = 1e-8, param_dtype: DTypeLike | None = jnp.float32, global_scale: float = 1.0
) -> GradientTransformation:
    """DoG for each layer (L-DoG): the distance of each array from its start over the norm of all its gradients.

        d ← max(d, ‖p − p₀‖)          d = reps_rel·(1 + ‖p₀‖) at the start
        G ← G + ‖g‖²
        u = global_scale · d / √(G + eps) · g

    Here each leaf has its own d and G, the paper's L-DoG; `dog` has one for all parameters.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      reps_rel: the first distance, relative to the parameters.
      eps: added inside of the root.
      param_dtype: dtype in which the start is kept.
      global_scale: factor of all updates.

    References:
      Ivgi et al., DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule, 2023, https://arxiv.org/abs/2302.12022
    """

    @tree.lift(like="g max_dist squares", same_shapes="p")
    def rule(g, max_dist, squares, start, p):
        max_dist = jnp.maximum(max_dist, tree.norm(p - start))
        size, total = root_of_sum(squares[0], tree.norm(g), eps)
        # The quotient first, whose norm is at most 1; it is 0, not 0/0, as long as there was no gradient.
        return global_scale * max_dist * (g / jnp.where(size == 0, 1, size)), max_dist, total[None]

    def init(params: Params) -> ScaleByDistanceOverGradientsState:
        start = tree.copy_of(params, param_dtype)
        numbers = tree.map_leaves(lambda p: tree.full_of_shape(p.real, ()), tree.moment_like(params))
        return ScaleByDistanceOverGradientsState(
            max_dist=tree.map_leaves(lambda zero, p: zero + (reps_rel * (1 + tree.norm(p))).astype(zero.dtype), numbers, start),
            grad_sum_of_squares=tree.map_leaves(lambda zero: zero[None], numbers),
            init_params=start,
        )

    @tells(precise=("init_params",), update_size=reps_rel * global_scale)
    def update(updates: Updates, state: ScaleByDistanceOverGradientsState, params: Params):
        updates, max_dist, squares = rule(updates, *state, params)
        return updates, state._replace(max_dist=max_dist, grad_sum_of_squares=squares)

    return GradientTransformation(init, update)
