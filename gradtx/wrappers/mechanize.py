"""Mechanic (Cutkosky et al. 2023): learn the learning rate of an optimizer."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    tells,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment, safe_sqrt
from gradtx.require import AT_LEAST_ONE, POSITIVE
from gradtx.tree import mismatch
from gradtx.tree.dtypes import working_dtype


class MechanicState(NamedTuple):
    """The inner state, steps taken, what each of the tuners knows (r, m, v) and its scale s, and where it all began."""

    base_optimizer_state: OptState
    count: Count
    r: jax.Array
    m: jax.Array
    v: jax.Array
    s: jax.Array
    x0: Params


@factory(eps=POSITIVE, s_init=POSITIVE, num_betas=AT_LEAST_ONE)
def mechanize(
    base_optimizer: Transformation,
    weight_decay: float = 1e-2,
    eps: float = 1e-8,
    s_init: float = 1e-6,
    num_betas: int = 6,
) -> GradientTransformationExtraArgs:
    """Mechanic: learn a scale for the accumulated updates of a base optimizer, whose learning rate may be 1 or a schedule.

        Δ = Σ of the updates of `base_optimizer`               x = x₀ + (Σs)·Δ
        h = −⟨Δ, g + weight_decay·(Σs)·‖g‖·x/‖x‖⟩             before the new update enters Δ
        r ← β·r + s·min(max(h, −m), m)
        m ← max(β·m, |h| + eps)
        v ← β²·v + h²
        s ← (s_init·m/num_betas + max(r, 0)) / (√v + eps)      for β = 0.9, 0.99, 0.999, ...

    Δ is not kept, but recovered from the parameters, so what `s_init` leaves of the first updates must not vanish in their
    rounding: keep them in float32, and the learning rate near 1.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      base_optimizer: an optimizer.
      weight_decay: how much a long way is penalized, in units of the gradient.
      eps: keeps divisions from zero.
      s_init: the sum of the scales before anything is known.
      num_betas: how many tuners there are.

    Raises:
      ValueError: `eps` or `s_init` is not positive, or `num_betas` is less than 1.

    Conventions:
      The recursion of the paper, as in Optax; the package mechanic-pytorch has another, which starts from a scale of 0.

    References:
      Cutkosky, Defazio and Mehta, Mechanic: A Learning Rate Tuner, 2023, https://arxiv.org/abs/2306.00144
    """
    base_optimizer = with_extra_args_support(base_optimizer)
    betas = 1 - 0.1 ** np.arange(1, num_betas + 1)

    @tree.lift
    def tune(r, m, v, s, *, h):
        decay = betas.astype(r.dtype)
        r = decay * r + s * jnp.clip(h, -m, m)
        m = jnp.maximum(decay * m, jnp.abs(h) + eps)
        v = decay**2 * v + h**2
        return r, m, v, (s_init * m / num_betas + jnp.maximum(r, 0)) / (safe_sqrt(v) + eps)

    @tree.lift
    def terms(x0, p, g, *, scale, g_norm, p_norm):
        delta = (p - x0) / (scale + eps)  # the sum of updates, which is not kept
        return jnp.conj(delta) * (g / jnp.where(g_norm > 0, g_norm, 1) + weight_decay * scale / (p_norm + eps) * p)

    @tree.lift
    def move(u, x0, p, *, new_scale, scale):
        return (p - x0) * (new_scale / (scale + eps) - 1) + new_scale * u

    def product(updates: Updates, x0: Params, params: Params, scale: jax.Array) -> jax.Array:
        with mismatch.explaining(g=updates, x0=x0, p=params):
            x0, params = (tree.map_leaves(lambda g, p: p, updates, each) for each in (x0, params))
        g_norm = tree.norm(updates)
        per_norm = -jnp.real(tree.sum(terms(x0, params, updates, scale=scale, g_norm=g_norm, p_norm=tree.norm(params))))
        largest = math.sqrt(float(jnp.finfo(per_norm.dtype).max)) / 1024  # so that no sum of squares overflows
        return jnp.clip(per_norm * g_norm.astype(per_norm.dtype), -largest, largest)

    def init(params: Params) -> MechanicState:
        x0 = tree.copy_of(params)
        dtype = working_dtype(jax.tree.leaves(params))
        r, m, v = (jnp.zeros(num_betas, dtype) for _ in range(3))
        s = jnp.full(num_betas, s_init, dtype)
        return MechanicState(base_optimizer.init(params), jnp.zeros((), jnp.int32), r, m, v, s, x0)

    @tells(precise=("x0",), factor=s_init)
    @forwards_to(base_optimizer, changes_updates=True, states=lambda state: (state.base_optimizer_state,))
    def update(updates: Updates, state: MechanicState, params: Params, **extra_args: Any):
        steps, base_state = base_optimizer.update(updates, state.base_optimizer_state, params, **extra_args)
        # Training may begin at other parameters than the state was made for.
        x0 = _replaced(state.x0, params, replace=state.count == 0)[0]
        scale = jnp.sum(state.s)
        r, m, v, s = tune(state.r, state.m, state.v, state.s, h=product(updates, x0, params, scale))
        updates = move(steps, x0, params, new_scale=jnp.sum(s), scale=scale)
        return updates, MechanicState(base_state, safe_increment(state.count), r, m, v, s, x0)

    return GradientTransformationExtraArgs(init, update)


@tree.lift
def _replaced(x0, p, *, replace):
    return jnp.where(replace, p, x0), p
