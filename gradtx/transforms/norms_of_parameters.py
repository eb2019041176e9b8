"""Hold the norms of the parameters, or the size of updates beside them."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import EmptyState, GradientTransformation, Params, Updates, factory, init_empty_state, tells
from gradtx.require import NONNEGATIVE
from gradtx.transforms.clipping import unitwise_norm


class KeepNormState(NamedTuple):
    """The norm that each array is to have."""

    norms: Params


@factory(outward=NONNEGATIVE, inward=NONNEGATIVE)
def keep_norm(outward: float = 0.0, inward: float = 0.0) -> GradientTransformation:
    """Keep the norm of each array of the parameters (hyperball), or brake how fast it grows and shrinks (radial brake).

        q = p + u
        s = outward if ‖q‖ > r, else inward
        r ← r + s·(‖q‖ − r)                    r: the norm, ‖p‖ at the beginning
        u ← q·r/‖q‖ − p

    With 0 the parameters stay on a sphere, and only their direction is learned; with 1 a step is as it was. It comes last in a
    chain, after the learning rate. As r is in the state, rounding does not add up.

    An array that is zero at the beginning, as many biases are, has no norm to keep and moves freely. A scalar cannot move at
    all on a sphere: leave scalars, and gains that begin at 1, to others by `masked` or `partition`.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      outward: how much of a growth of the norm is left: 0 for nothing, 1 for all.
      inward: how much of a shrinkage is left.

    Raises:
      ValueError: one of them is negative.

    Conventions:
      The hooks of NVIDIA's Emerging Optimizers are these: hyperball keeps the norm, and before it scales the direction to that
      norm (`adamh` does both); the radial brake is `keep_norm(0.5, 1.0)`, where r is ‖p‖ of each step.

    References:
      Wen et al., Fantastic Pretraining Optimizers and Where to Find Them II: Hyperball Optimization, 2026,
        https://arxiv.org/abs/2606.16899
      NVIDIA, Emerging Optimizers, 2026, https://github.com/NVIDIA-NeMo/Emerging-Optimizers
    """

    @tree.lift(like="u r", same_shapes="p")
    def rule(u, r, p):
        norm = tree.norm(p + u)
        share = jnp.where(norm > r, outward, inward)
        kept = r + share * (norm - r)
        # q·kept/‖q‖ − p as a multiple of u and one of p: a short step loses no digits to p, a long one none to itself.
        of_q = jnp.where(norm > 0, norm, 1)
        of_u, of_p = kept / of_q, (1 - share) * (r - norm) / of_q
        free = r == 0
        return jnp.where(free, 1, of_u) * u + jnp.where(free, 0, of_p) * p, jnp.where(free, r, kept)

    def init(params: Params) -> KeepNormState:
        zeros = tree.map_leaves(lambda zero: tree.full_of_shape(zero.real, ()), tree.moment_like(params))
        return KeepNormState(tree.map_leaves(lambda zero, p: zero + tree.norm(p).astype(zero.dtype), zeros, params))

    @tells(precise=("norms",), factor=1.0)
    def update(updates: Updates, state: KeepNormState, params: Params):
        updates, norms = rule(updates, state.norms, params)
        return updates, KeepNormState(norms)

    return GradientTransformation(init, update)


@factory(target=NONNEGATIVE)
def floor_update_ratio(target: float, *, axis: int | tuple[int, ...] | None = None) -> GradientTransformation:
    """Scale up updates that are short beside their parameters, so that each array, or each row of one, is learned.

        u ← u·max(1, target·‖p‖/‖u‖)

    It comes after a rescaling and before the learning rate, which `target` does not know of. Updates of zero stay zero.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      target: the least norm of an update as a fraction of that of its parameters.
      axis: the axes that a norm is taken over, such as 0 for the norm of what leads to each output of a matrix (inputs,
        outputs); None for all.

    Raises:
      ValueError: `target` is negative.

    References:
      Jordan et al., modded-nanogpt, track 3, 2026, https://github.com/KellerJordan/modded-nanogpt
    """

    def norms(u: Any, p: Any) -> tuple[Any, Any]:
        return (tree.norm(u), tree.norm(p)) if axis is None else (unitwise_norm(u, axis), unitwise_norm(p, axis))

    @tree.lift
    def rule(u, p):
        update_norm, param_norm = norms(u, p)
        short = (update_norm > 0) & (update_norm < target * param_norm)
        # Two factors, each of which is finite: the ratio of the norms may not be.
        return u / jnp.where(short, update_norm, 1) * jnp.where(short, target * param_norm, 1)

    def update(updates: Updates, state: EmptyState, params: Params):
        return rule(updates, params), state

    return GradientTransformation(init_empty_state, update)
