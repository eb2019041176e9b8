"""L-BFGS: the inverse Hessian as the last differences of parameters and gradients show it (Liu & Nocedal 1989)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx import tree
from gradtx.compiled import compiled
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Transformation,
    Updates,
    chain,
    factory,
    identity,
    tells,
)
from gradtx.numerics import Count, safe_increment
from gradtx.require import AT_LEAST_ONE
from gradtx.transforms.scale import scale, scale_by_learning_rate
from gradtx.transforms.zoom_linesearch import scale_by_zoom_linesearch
from gradtx.tree.scopes import layers_together

# Least inverse curvature of a pair, in units of the problem (Byrd et al. 1995, equation 3.9): the eps of a float64 there.
_LEAST_CURVATURE = 2.2e-16


class ScaleByLBFGSState(NamedTuple):
    """Steps taken, the last parameters and gradients, and a ring of their differences s and y, and of 1/⟨s, y⟩."""

    count: Count
    params: Params
    updates: Updates
    diff_params_memory: Updates
    diff_updates_memory: Updates
    weights_memory: jax.Array


@factory(memory_size=AT_LEAST_ONE)
def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True) -> GradientTransformation:
    """L-BFGS: multiply the gradient by an estimate of the inverse Hessian from the last pairs of steps and changes.

        s = pₜ − pₜ₋₁      y = gₜ − gₜ₋₁      ρ = 1/⟨s, y⟩         the last `memory_size` of them
        q = g;      from the newest to the oldest:  a ← ρ·⟨s, q⟩,  q ← q − a·y
        u = γ·q;    from the oldest to the newest:  u ← u + (a − ρ·⟨y, u⟩)·s

    γ = ⟨s, y⟩/⟨y, y⟩ of the newest pair, and min(1, 1/‖g‖) at the first step. A pair without positive curvature, with
    ⟨s, y⟩ ≤ 2.2e-16·⟨y, y⟩, is left out, so that u always goes uphill with the gradient; so is one too large for its dtype.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      memory_size: how many pairs are remembered.
      scale_init_precond: False takes γ = 1.

    Raises:
      ValueError: `memory_size` is less than 1.

    References:
      Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989,
        https://doi.org/10.1007/BF01589116
      Nocedal and Wright, Numerical Optimization, 2nd edition, algorithm 7.4, 2006,
        https://doi.org/10.1007/978-0-387-40065-5
      Byrd, Lu, Nocedal and Zhu, A Limited Memory Algorithm for Bound Constrained Optimization, 1995,
        https://doi.org/10.1137/0916069
    """

    @tree.lift(like="w v s y w v", same_shapes="p")
    def remember(g, w, v, s, y, p, *, slot, has_previous):
        newest_s, newest_y = has_previous * (p - w), has_previous * (g - v)
        return p, g, s.at[slot].set(newest_s), y.at[slot].set(newest_y), newest_s, newest_y

    @tree.lift
    def replace(g, u):
        return u

    @tells(precise=("params", "updates"))
    @compiled
    def update(updates: Updates, state: ScaleByLBFGSState, params: Params):
        slot = (state.count - 1) % memory_size
        has_previous = (state.count > 0).astype(jnp.float32)
        kept = (state.params, state.updates, state.diff_params_memory, state.diff_updates_memory)
        # The newest pair is not read from the rings: the compiler would copy these to read what they will hold.
        with layers_together():  # as the first axis of a ring is not that of layers
            p, g, s, y, newest_s, newest_y = remember(updates, *kept, params, slot=slot, has_previous=has_previous)
        sy, yy = tree.vdot(newest_y, newest_s).real, _square(newest_y)
        # Curvature that is positive beyond rounding, in a pair that did not overflow, and whose ρ is finite.
        counts = (sy > _LEAST_CURVATURE * yy) & (yy > 0) & jnp.isfinite(sy) & jnp.isfinite(1 / sy)
        weight = jnp.where(counts, 1 / jnp.where(counts, sy, 1), 0).astype(state.weights_memory.dtype)
        weights = state.weights_memory.at[slot].set(weight)
        newest_first = (slot - jnp.arange(memory_size, dtype=jnp.int32)) % memory_size
        scale = initial_scale(g, y, yy, weights, newest_first) if scale_init_precond else jnp.ones(())
        u = multiply_by_inverse_hessian(g, s, y, weights, scale, newest_first)
        new_state = ScaleByLBFGSState(safe_increment(state.count), p, g, s, y, weights)
        return replace(updates, u), new_state

    def init(params: Params) -> ScaleByLBFGSState:
        def ring() -> Updates:
            moment = tree.moment_like(params)
            return jax.tree.map(lambda m: jnp.stack([m] * memory_size), moment)  # which keeps the sharding

        last_params, last_updates = (tree.moment_like(params) for _ in range(2))
        weights = jnp.zeros(memory_size, tree.vdot(last_params, last_params).real.dtype)
        return ScaleByLBFGSState(jnp.zeros((), jnp.int32), last_params, last_updates, ring(), ring(), weights)

    return GradientTransformation(init, update)


def initial_scale(g: Updates, y: Updates, newest_yy: jax.Array, weights: jax.Array, newest_first: jax.Array) -> jax.Array:
    """Return γ = ⟨s, y⟩/⟨y, y⟩ of the newest pair that counts, and min(1, 1/‖g‖) while there is none."""
    counting = weights[newest_first] > 0
    age = jnp.argmax(counting)
    # A choice of code, not of arrays: fused with what fills the ring, the reading of it would have the compiler copy it.
    yy = lax.cond(age == 0, lambda: newest_yy, lambda: _square(_at(y, newest_first[age])))
    any_counts = counting.any()
    curvature = jnp.where(any_counts, weights[newest_first[age]] * yy.astype(weights.dtype), 1)
    norm = tree.norm(g)
    first = jnp.minimum(1, 1 / jnp.where(norm > 0, norm, 1))
    return jnp.where(any_counts, 1 / curvature, first.astype(curvature.dtype))


def multiply_by_inverse_hessian(g: Updates, s: Updates, y: Updates, weights: Any, scale: Any, newest_first: Any) -> Updates:
    """Return H·g by the recursion of two loops, for H₀ = `scale`.

    Args:
      g: a tree of arrays.
      s: differences of parameters along a first axis.
      y: differences of gradients along it.
      weights: ρ = 1/⟨s, y⟩ of each pair, 0 for a pair that does not count.
      scale: γ.
      newest_first: the places of the pairs along the axis.
    """

    def backward(q: Updates, k: jax.Array):
        a = _product(weights[k], tree.vdot(_at(s, k), q).real)
        return _add_scale(q, -a, _at(y, k)), a

    def forward(u: Updates, pair: tuple[jax.Array, jax.Array]):
        k, a = pair
        b = _product(weights[k], tree.vdot(_at(y, k), u).real)
        return _add_scale(u, a - b, _at(s, k)), None

    q, a = lax.scan(backward, g, newest_first)
    u = jax.tree.map(lambda x: scale.astype(x.dtype) * x, q)
    return lax.scan(forward, u, (newest_first, a), reverse=True)[0]


def _square(x: Updates) -> jax.Array:
    return tree.vdot(x, x).real


def _product(weight: jax.Array, dot: jax.Array) -> jax.Array:
    """Their product, 0 for weight 0 even if the pair that is left out is not finite."""
    return jnp.where(weight == 0, 0, weight * dot)


def _add_scale(x: Updates, scalar: jax.Array, y: Updates) -> Updates:
    return jax.tree.map(lambda x, y: x + scalar.astype(x.dtype) * y, x, y)


def _at(memory: Updates, k: Any) -> Updates:
    """What a ring holds in one of its places."""
    return jax.tree.map(lambda x: x[k], memory)


_ZOOM = scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")


@factory
def lbfgs(
    learning_rate: ScalarOrSchedule | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: Transformation | None = _ZOOM,
) -> GradientTransformationExtraArgs:
    """L-BFGS: steps along the gradient times an estimate of the inverse Hessian, as long as a line search says.

        Δp = −η·H·g        H of the last `memory_size` steps, see `scale_by_lbfgs`; η from the line search

    For objectives without noise: the same data at every step. `update` reads what the line search does, `value=`, `grad=` and
    `value_fn=`; `value_and_grad_from_state` saves the evaluation that the search has made already, and `minimize` is the
    whole loop. PyTorch's L-BFGS is the same method with a learning rate of 1 and no search by default.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: a factor of the step that the line search begins with; None for 1.
      memory_size: how many steps are remembered; each takes two copies of the parameters.
      scale_init_precond: whether H begins with the curvature of the last step; else with 1.
      linesearch: what chooses η; None takes every step as it is.

    References:
      Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989,
        https://doi.org/10.1007/BF01589116
    """
    return chain(
        scale_by_lbfgs(memory_size, scale_init_precond),
        scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate),
        identity() if linesearch is None else linesearch,
    )
