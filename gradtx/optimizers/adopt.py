"""ADOPT (Taniguchi et al. 2024)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Schedule,
    Updates,
    at_step,
    chain,
    factory,
    tells,
)
from gradtx.numerics import abs_sq, safe_increment, safe_sqrt, squarable
from gradtx.optimizers.adam import ScaleByAdamState, init_adam_state
from gradtx.require import is_zero
from gradtx.schedules.decay import constant_schedule
from gradtx.schedules.piecewise import join_schedules
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


@factory
def scale_by_adopt(
    b1: float = 0.9,
    b2: float = 0.9999,
    eps: float = 1e-6,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[jax.Array], jax.Array] = lambda x: x**0.25,
) -> GradientTransformation:
    """ADOPT's rescaling: the mean of gradients that were divided by the root of the mean square before them.

        c = clip(g / max(√v, eps), −t^¼, t^¼)        t = 0 at the first step, which only looks: v = |g|², u = 0
        m ← b1·m + (1−b1)·c
        v ← b2·v + (1−b2)·|g|²
        u = m

    With v independent of the gradient it divides, it converges for any b2.

    Args:
      b1: decay of the mean of the divided gradient.
      b2: decay of the mean square of the gradient.
      eps: the least denominator.
      mu_dtype: dtype in which m is kept; by default that of the parameters, float32 at least.
      nesterov: whether to look one step ahead, u = b1·m + (1−b1)·c.
      use_clipping: whether to clip the divided gradient.
      clip_value_fn: the bound, a function of t.

    References:
      Taniguchi et al., ADOPT: Modified Adam Can Converge with Any β₂ with the Optimal Rate, 2024,
        https://arxiv.org/abs/2411.02853
    """
    tree.check_moment_dtype(mu_dtype)

    @tree.lift
    def rule(g, m, v, *, first, bound):
        g = squarable(g)
        c = jnp.where(first, 0, g / jnp.maximum(safe_sqrt(v), eps))
        c = jnp.clip(c, -bound, bound) if use_clipping else c
        m = b1 * m + (1 - b1) * c
        v = jnp.where(first, abs_sq(g), b2 * v + (1 - b2) * abs_sq(g))
        return b1 * m + (1 - b1) * c if nesterov else m, m, v

    def init(params: Params) -> ScaleByAdamState:
        return init_adam_state(params, mu_dtype)

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)}, update_size=1.0)
    def update(updates: Updates, state: ScaleByAdamState, params: Params | None = None):
        bound = at_step(clip_value_fn, state.count.astype(float)) if use_clipping else None
        updates, mu, nu = rule(updates, state.mu, state.nu, first=state.count == 0, bound=bound)
        return updates, ScaleByAdamState(safe_increment(state.count), mu, nu)

    return GradientTransformation(init, update)


@factory
def adopt(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.9999,
    eps: float = 1e-6,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[jax.Array], jax.Array] = lambda x: x**0.25,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
    decoupled: bool = True,
) -> GradientTransformationExtraArgs:
    """ADOPT: Adam that divides by the root mean square of earlier steps before it averages; converges for any b2.

        Δp = −η·( m + weight_decay·p )        m of `scale_by_adopt`; the first step only looks: Δp = 0

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, mu_dtype, nesterov, use_clipping, clip_value_fn: as in `scale_by_adopt`.
      weight_decay, mask: as in `adamw`; a schedule of a decoupled decay counts from the second step on.
      decoupled: whether the decay is apart from the gradient. If not, weight_decay·p is added to the gradient, at the first
        step too.

    Conventions:
      The decay is decoupled by default; in the authors' code it is added to the gradient unless `decouple=True`.

    References:
      Taniguchi et al., 2024, https://arxiv.org/abs/2411.02853
    """
    rescale = scale_by_adopt(b1, b2, eps, mu_dtype, nesterov=nesterov, use_clipping=use_clipping, clip_value_fn=clip_value_fn)
    step = scale_by_learning_rate(learning_rate)
    if is_zero(weight_decay):
        return chain(rescale, step)  # the states that Optax has
    if not decoupled:
        return chain(add_decayed_weights(weight_decay, mask), rescale, step)
    return chain(rescale, add_decayed_weights(_after_first_step(weight_decay), mask), step)


def _after_first_step(weight_decay: ScalarOrSchedule) -> Schedule:
    """The decay of a step, which the first does not have."""
    later = weight_decay if callable(weight_decay) else constant_schedule(weight_decay)
    return join_schedules([constant_schedule(0.0), later], [1])
