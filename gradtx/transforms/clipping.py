"""Clip updates: by value, by their norm, by the root mean square of each array, by the norm of the parameters."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from gradtx import tree
from gradtx.core import EmptyState, GradientTransformation, Params, Updates, factory, init_empty_state, tells
from gradtx.numerics import abs_sq, safe_sqrt
from gradtx.require import LIMIT
from gradtx.transforms.scale import scaled
from gradtx.tree.along import max_along, size_along, sum_along
from gradtx.tree.scopes import whole_shape

ClipState = EmptyState
ClipByGlobalNormState = EmptyState
AdaptiveGradClipState = EmptyState


@factory(max_delta=LIMIT)
def clip(max_delta: ArrayLike) -> GradientTransformation:
    """Clip every coordinate: u = min(max(g, −max_delta), max_delta).

    Args:
      max_delta: the largest magnitude of a coordinate.
    """

    @tree.lift
    def rule(g):
        return jnp.clip(g, -max_delta, max_delta)  # pyright: ignore[reportOperatorIssue]

    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        return rule(updates), state

    return GradientTransformation(init_empty_state, update)


@factory(max_norm=LIMIT)
def clip_by_global_norm(max_norm: float, *, axis_name: str | tuple[str, ...] | None = None) -> GradientTransformation:
    """Scale all updates by one factor so that their common norm is at most `max_norm`.

        u = g · min(1, max_norm / ‖g‖)

    The norm is that of all leaves together, computed in float32 at least and without overflow. If it is not finite, no
    factor would mend the updates (0·∞ is NaN): they pass as they are, for `apply_if_finite` to see.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      max_norm: the largest norm.
      axis_name: inside of `shard_map` or `pmap`, the axes over which the updates are split, without which the norm would
        be that of each part.

    References:
      Pascanu, Mikolov and Bengio, On the difficulty of training Recurrent Neural Networks, 2013,
        https://arxiv.org/abs/1211.5063
    """

    @tells(norm_of_all=True)
    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        norm = tree.norm(updates, axis_name=axis_name)
        limit = jnp.minimum(max_norm, jnp.finfo(norm.dtype).max)  # ∞/∞ is NaN
        return scaled(updates, factor=limit / jnp.maximum(limit, jnp.where(jnp.isfinite(norm), norm, 0))), state

    return GradientTransformation(init_empty_state, update)


@factory(threshold=LIMIT)
def clip_by_block_rms(threshold: float) -> GradientTransformation:
    """Scale each array so that its root mean square is at most `threshold`.

        u = g / max(1, rms(g) / threshold)

    An array whose root mean square is not finite passes as it is.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      threshold: the largest root mean square of an array.

    References:
      Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, section 6, 2018,
        https://arxiv.org/abs/1804.04235
    """

    @tree.lift
    def rule(g):
        rms = tree.norm(g) / max(1, size_along(g)) ** 0.5
        return g / jnp.where(jnp.isfinite(rms), jnp.maximum(1, rms / threshold), 1)

    @tells(factor=1.0)
    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        return rule(updates), state

    return GradientTransformation(init_empty_state, update)


@factory(max_norm=LIMIT)
def clip_by_block_norm(max_norm: float) -> GradientTransformation:
    """Scale each array so that its norm is at most `max_norm`.

        u = g / max(1, ‖g‖ / max_norm)

    An array whose norm is not finite passes as it is.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      max_norm: the largest norm of an array.
    """

    @tree.lift
    def rule(g):
        norm = tree.norm(g)
        return g / jnp.where(jnp.isfinite(norm), jnp.maximum(1, norm / max_norm), 1)

    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        return rule(updates), state

    return GradientTransformation(init_empty_state, update)


@factory(clipping=LIMIT)
def adaptive_grad_clip(clipping: float, eps: float = 1e-3, axis: int | tuple[int, ...] | None = None) -> GradientTransformation:
    """Adaptive gradient clipping: clip the gradient of each unit (a row of weights) to a fraction of its parameters' norm.

        u = g · min(1, clipping · max(‖p‖, eps) / ‖g‖)       norms of each unit

    A unit whose gradient has no finite norm passes as it is.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      clipping: the largest norm of a gradient as a fraction of that of its parameters.
      eps: the least norm of parameters that counts, so that parameters at zero can move.
      axis: the axes that a norm is taken over; see `unitwise_norm`.

    References:
      Brock et al., High-Performance Large-Scale Image Recognition Without Normalization, 2021,
        https://arxiv.org/abs/2102.06171
    """

    @tree.lift
    def rule(g, p):
        max_norm = clipping * jnp.maximum(unitwise_norm(p, axis), eps)
        return unitwise_clip(unitwise_norm(g, axis), max_norm, g)

    def update(updates: Updates, state: EmptyState, params: Params):
        return rule(updates, params), state

    return GradientTransformation(init_empty_state, update)


def unitwise_norm(x: jax.Array, axis: int | tuple[int, ...] | None = None) -> jax.Array:
    """Return the norm of each unit of `x`, in the shape of `x`.

    Args:
      x: weights of a layer, inputs before outputs: (in, out) for a matrix, (height, width, in, out) for a convolution.
      axis: the axes that a norm is taken over. By default all of a scalar or vector, of up to three dimensions the first,
        and of more all but the last.
    """
    if axis is None:
        vector = sum(size != 1 for size in whole_shape(x)) <= 1
        axis = tuple(range(x.ndim)) if vector else tuple(range(x.ndim - 1)) if x.ndim > 3 else 0
    largest = max_along(jnp.abs(lax.stop_gradient(x)), axis, keepdims=True, initial=0)
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)  # so that no square overflows or vanishes
    norm = scale * safe_sqrt(sum_along(abs_sq(x / scale), axis, keepdims=True))
    return jnp.broadcast_to(jnp.where(jnp.isfinite(largest), norm, largest), x.shape)


def unitwise_clip(g_norm: jax.Array, max_norm: jax.Array, grad: jax.Array, div_eps: float = 1e-6) -> jax.Array:
    """Scale `grad` by max_norm / g_norm where g_norm is the larger and finite.

    Args:
      g_norm: norm of each unit of the gradient, in a shape that broadcasts to that of `grad`.
      max_norm: the largest it may be.
      grad: the gradient.
      div_eps: the least norm that is divided by.
    """
    # A factor, as a choice between arrays would need all of them sharded alike.
    within = (g_norm < max_norm) | ~jnp.isfinite(g_norm)
    return grad * jnp.where(within, 1, max_norm / jnp.where(within, 1, jnp.maximum(g_norm, div_eps)))
