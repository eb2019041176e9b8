"""DoG (Ivgi et al. 2023) and DoWG (Khaled et al. 2023): the learning rate is the distance gone over the gradients met."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
    identity,
    tells,
)
from gradtx.numerics import clipped_to_finite, largest_squarable, safe_sqrt
from gradtx.require import POSITIVE
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.dtypes import working_dtype
from gradtx.tree.masks import Mask


class DoGState(NamedTuple):
    """Whether no step was taken, the start, the largest distance from it, and the sum of squares of all gradients."""

    is_init_step: jax.Array
    init_params: Params
    max_dist: jax.Array
    sum_sq_norm_grads: jax.Array


class DoWGState(NamedTuple):
    """The start, the sum of squares of all gradients by the square of the distance, and the square of the largest distance."""

    init_params: Params
    weighted_sq_norm_grads: jax.Array
    estim_sq_dist: jax.Array


InitStep = tuple[Literal["distance", "learning_rate", "heuristic"], Any]


@factory
def scale_by_dog(init_step: InitStep = ("heuristic", 1e-6), eps: float = 1e-8) -> GradientTransformation:
    """DoG's scale: the largest distance from the start over the root of the sum of all squared gradients.

        r ← max(r, ‖p − p₀‖)
        G ← G + ‖g‖²
        u = r / √(G + eps) · g

    A gradient whose norm is above 1.2e18 in float32 moves by r, and is left out of G, which would never forget it.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      init_step: what the first step is made of, a word and a number c: "distance", r = c at the start; "heuristic",
        r = c·(1 + ‖p₀‖); "learning_rate", u = c·g in the first step.
      eps: added to G.

    Raises:
      ValueError: the word is another one.

    References:
      Ivgi, Hinder and Carmon, DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule, 2023,
        https://arxiv.org/abs/2302.12022
    """
    kind, start = init_step

    @tree.lift
    def rule(g, p, *, factor):
        del p  # updates that are unlike it would be scaled without a word
        return factor * g

    def init(params: Params) -> DoGState:
        dtype = working_dtype(jax.tree.leaves(params))
        first = jnp.zeros((), dtype) if kind == "learning_rate" else jnp.asarray(start, dtype)
        return DoGState(
            is_init_step=jnp.ones((), bool),
            init_params=tree.copy_of(params),
            max_dist=first * (1 + tree.norm(params).astype(dtype)) if kind == "heuristic" else first,
            sum_sq_norm_grads=jnp.zeros((), dtype),
        )

    @tells(precise=("init_params",), update_size=None if kind == "learning_rate" else start)
    def update(updates: Updates, state: DoGState, params: Params):
        dtype = state.max_dist.dtype
        max_dist = jnp.maximum(state.max_dist, _distance(params, state.init_params, dtype))
        root, total = root_of_sum(state.sum_sq_norm_grads, tree.norm(updates).astype(dtype), eps)
        factor = max_dist / root
        if kind == "learning_rate":
            factor = jnp.where(state.is_init_step, jnp.asarray(start, dtype), factor)
        return rule(updates, params, factor=factor), DoGState(jnp.zeros((), bool), state.init_params, max_dist, total)

    return GradientTransformation(init, update)


@factory(init_estim_sq_dist=POSITIVE)
def scale_by_dowg(init_estim_sq_dist: float | None = None, eps: float = 1e-4) -> GradientTransformation:
    """DoWG's scale: as `scale_by_dog`, with gradients weighted by the distance from the start where they were taken.

        r² ← max(r², ‖p − p₀‖²)
        v ← v + r²·‖g‖²
        u = r² / (√v + eps) · g

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      init_estim_sq_dist: r² at the start; by default eps.
      eps: added to the root of v.

    References:
      Khaled, Mishchenko and Jin, DoWG Unleashed: An Efficient Universal Parameter-Free Gradient Descent Method, 2023,
        https://arxiv.org/abs/2305.16284
    """
    start = eps if init_estim_sq_dist is None else init_estim_sq_dist

    @tree.lift
    def rule(g, p, *, factor):
        del p
        return factor * g

    def init(params: Params) -> DoWGState:
        dtype = working_dtype(jax.tree.leaves(params))
        return DoWGState(
            init_params=tree.copy_of(params),
            weighted_sq_norm_grads=jnp.zeros((), dtype),
            estim_sq_dist=jnp.array(start, dtype),
        )

    @tells(precise=("init_params",))
    def update(updates: Updates, state: DoWGState, params: Params):
        dtype = state.estim_sq_dist.dtype
        sq_dist = jnp.maximum(state.estim_sq_dist, _distance(params, state.init_params, dtype, squared=True))
        weighted = safe_sqrt(sq_dist) * tree.norm(updates).astype(dtype)
        root, total = root_of_sum(state.weighted_sq_norm_grads, weighted)
        factor = sq_dist / (root + jnp.asarray(eps, dtype))
        return rule(updates, params, factor=factor), DoWGState(state.init_params, total, sq_dist)

    return GradientTransformation(init, update)


def _distance(params: Params, start: Params, dtype: Any, squared: bool = False) -> jax.Array:
    return tree.norm(displacement(start, params), squared=squared).astype(dtype)


def root_of_sum(total: jax.Array, x: jax.Array, eps: float = 0.0) -> tuple[jax.Array, jax.Array]:
    """Return √(total + x² + eps) for x ≥ 0, and the sum to keep, total + x².

    An x above 1.2e18 (in float32) counts in the root, so that the step is short, and is left out of the sum, which would never
    forget it.
    """
    bound = largest_squarable(total.dtype)
    left_out = x > bound
    new_total = clipped_to_finite(total + jnp.square(jnp.minimum(x, bound)))
    root = safe_sqrt(new_total + jnp.asarray(eps, total.dtype))
    return jnp.where(left_out, jnp.maximum(root, x), root), jnp.where(left_out, total, new_total)


@tree.lift
def displacement(x0, p):
    """The parameters as seen from where they started."""
    return p - x0


@factory
def dog(
    learning_rate: ScalarOrSchedule = 1.0,
    init_step: InitStep = ("heuristic", 1e-6),
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule | None = None,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """DoG (distance over gradients): SGD at the rate (largest distance from the start) / √(sum of squared gradients).

        Δp = −η·r / √(G + eps)·g        r and G of `scale_by_dog`

    The authors evaluate an average of the iterates.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule; 1 as a rule.
      init_step, eps: as in `scale_by_dog`.
      weight_decay, mask: an L2 penalty, added to the gradient; see `add_decayed_weights`. None for none.

    References:
      Ivgi, Hinder and Carmon, 2023, https://arxiv.org/abs/2302.12022
    """
    return chain(_penalty(weight_decay, mask), scale_by_dog(init_step, eps), scale_by_learning_rate(learning_rate))


@factory(init_estim_sq_dist=POSITIVE)
def dowg(
    learning_rate: ScalarOrSchedule = 1.0,
    init_estim_sq_dist: float | None = None,
    eps: float = 1e-4,
    weight_decay: ScalarOrSchedule | None = None,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """DoWG: `dog` with gradients weighted by the distance from the start, so that late ones count more.

        Δp = −η·r² / (√v + eps)·g        r² and v of `scale_by_dowg`

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate, weight_decay, mask: as in `dog`.
      init_estim_sq_dist, eps: as in `scale_by_dowg`.

    References:
      Khaled, Mishchenko and Jin, 2023, https://arxiv.org/abs/2305.16284
    """
    return chain(_penalty(weight_decay, mask), scale_by_dowg(init_estim_sq_dist, eps), scale_by_learning_rate(learning_rate))


def _penalty(weight_decay: ScalarOrSchedule | None, mask: Mask | None) -> GradientTransformation:
    return identity() if weight_decay is None else add_decayed_weights(weight_decay, mask)
