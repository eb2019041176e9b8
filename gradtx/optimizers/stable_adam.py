"""StableAdamW (Wortsman et al. 2023): steps of AdamW that are shorter where gradients are larger than Adam expects."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    at_step,
    chain,
    factory,
    tells,
)
from gradtx.numerics import abs_sq, safe_increment, safe_sqrt, squarable
from gradtx.optimizers.adam import ScaleByAdamState, bias_corrections, init_adam_state
from gradtx.require import is_zero
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.tree.along import mean_along
from gradtx.tree.masks import Mask, evaluate_mask, mask_out


@factory
def scale_by_stable_adam(
    b1: float = 0.9,
    b2: float = 0.99,
    eps: float = 1e-6,
    mu_dtype: DTypeLike | None = None,
    *,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformation:
    """StableAdamW's rescaling: Adam's, divided by how much larger a gradient is than its root mean square, if it is.

        m ← b1·m + (1−b1)·g              m̂ = m / (1−b1ᵗ)
        v ← b2·v + (1−b2)·|g|²           v̂ = v / (1−b2ᵗ)
        r = √mean( |g|² / max(v̂, eps²) )                     the mean of each array
        u = ( m̂ / (√v̂ + eps) + weight_decay·p ) / max(1, r)

    r is large where the mean square has not followed the gradients, as after a long time without signal: a spike of the loss is
    near. Unlike `clip_by_block_rms` after Adam, r is of the gradient and not of its mean, and divides the decay as well.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      b1, b2, mu_dtype: as in `scale_by_adam`.
      eps: added to the root, and the least root in r.
      weight_decay, mask: as in `add_decayed_weights`; unless the decay is 0 the parameters are read.

    References:
      Wortsman et al., Stable and low-precision training for large-scale vision-language models, 2023,
        https://arxiv.org/abs/2304.13013
    """
    tree.check_moment_dtype(mu_dtype)

    def stepped(g, m, v, debias1, debias2):
        """Adam's direction, how much it is divided by, and the new means."""
        g = squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        root = safe_sqrt(v / debias2)
        excess = safe_sqrt(mean_along(abs_sq(g / jnp.maximum(root, eps))))
        return m / debias1 / (root + eps), jnp.maximum(1, excess), m, v

    @tree.lift
    def rule(g, m, v, *, debias1, debias2):
        u, excess, m, v = stepped(g, m, v, debias1, debias2)
        return u / excess, m, v

    @tree.lift(like="g m v", same_shapes="m v p")
    def rule_with_decay(g, m, v, p, decay, *, debias1, debias2):
        u, excess, m, v = stepped(g, m, v, debias1, debias2)
        return (u + decay * p) / excess, m, v

    def init(params: Params) -> ScaleByAdamState:
        return init_adam_state(params, mu_dtype)

    def corrections(count: Any) -> dict[str, Any]:
        all_of_them = bias_corrections(b1, b2, count)
        return {name: all_of_them[name] for name in ("debias1", "debias2")}

    tell = tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)}, update_size=1.0)

    @tell
    def update(updates: Updates, state: ScaleByAdamState, params: Params | None = None):
        count = safe_increment(state.count)
        updates, mu, nu = rule(updates, state.mu, state.nu, **corrections(count))
        return updates, ScaleByAdamState(count, mu, nu)

    @tell
    def update_with_decay(updates: Updates, state: ScaleByAdamState, params: Params):
        count = safe_increment(state.count)
        decays = _of_each_leaf(jnp.asarray(at_step(weight_decay, state.count), float), mask, params)
        updates, mu, nu = rule_with_decay(updates, state.mu, state.nu, params, decays, **corrections(count))
        return updates, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update if is_zero(weight_decay) else update_with_decay)


def _of_each_leaf(weight_decay: jax.Array, mask: Mask | None, params: Params) -> Any:
    """The decay for each leaf, 0 for those that a mask leaves out."""
    seen = params if mask is None else mask_out(evaluate_mask(mask, params), params)
    none = jnp.zeros_like(weight_decay)
    return jax.tree.map(lambda p: none if tree.is_hole(p) else weight_decay, seen, is_leaf=tree.is_hole)


@factory
def stable_adamw(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.99,
    eps: float = 1e-6,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 1e-2,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """StableAdamW: AdamW with a learning rate that is smaller, array by array, where gradients are larger than expected.

        η' = η / max(1, √mean(|g|² / max(v̂, eps²)))
        Δp = −η'·( m̂ / (√v̂ + eps) + weight_decay·p )        means of `scale_by_stable_adam`

    It needs no clipping of gradients.

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, mu_dtype, weight_decay, mask: as in `scale_by_stable_adam`.

    Conventions:
      The defaults are those of the package torch-optimi; eps is 1e-8 in pytorch_optimizer.

    References:
      Wortsman et al., 2023, https://arxiv.org/abs/2304.13013
    """
    return chain(
        scale_by_stable_adam(b1, b2, eps, mu_dtype, weight_decay=weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
