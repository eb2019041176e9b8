"""NovoGrad (Ginsburg et al. 2019)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
    tells,
)
from gradtx.numerics import Count, largest_squarable, safe_increment, safe_sqrt, squarable
from gradtx.transforms.scale import scale_by_learning_rate


class ScaleByNovogradState(NamedTuple):
    """Steps taken, sum of the normalized gradients, mean square of the norm of each leaf."""

    count: Count
    mu: Updates
    nu: Updates


@factory
def scale_by_novograd(
    b1: float = 0.9,
    b2: float = 0.25,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
    mu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """NovoGrad's rescaling: a sum of gradients, each over the root mean square of its norm, layer by layer.

        v ← b2·v + (1−b2)·‖g‖²   (‖g‖² at the first step)
        m ← b1·m + g / (√(v + eps_root) + eps) + weight_decay·p
        u = m

    The second moment is one number a leaf: half of the memory of Adam.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      b1: decay of the sum.
      b2: decay of the mean square.
      eps, eps_root, mu_dtype: as in `scale_by_adam`.
      weight_decay: decay that enters the sum; unless it is 0 the parameters are read.

    References:
      Ginsburg et al., Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of Deep Networks, 2019,
        https://arxiv.org/abs/1905.11286
    """
    tree.check_moment_dtype(mu_dtype)
    decays = not (isinstance(weight_decay, int | float) and weight_decay == 0)

    @tree.lift(like="g m v", same_shapes="p")
    def rule(g, m, v, p, *, first):
        # The norm in v and the gradient in m are clipped alike, to the largest norm that can be squared.
        norm = tree.norm(g)
        square = jnp.square(squarable(norm))
        g = g / jnp.maximum(1, norm / largest_squarable(norm.dtype))
        v = jnp.where(first, square, b2 * v + (1 - b2) * square)
        m = b1 * m + g / (safe_sqrt(v + eps_root) + eps)
        m = m + weight_decay * p if decays else m
        return m, m, v

    def init(params: Params) -> ScaleByNovogradState:
        mu = tree.moment_like(params, mu_dtype)
        nu = tree.map_leaves(lambda m: tree.full_of_shape(m.real, ()), tree.moment_like(params))
        return ScaleByNovogradState(jnp.zeros((), jnp.int32), mu, nu)

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)})
    def update(updates: Updates, state: ScaleByNovogradState, params: Params):
        updates, mu, nu = rule(updates, state.mu, state.nu, params, first=state.count == 0)
        return updates, ScaleByNovogradState(safe_increment(state.count), mu, nu)

    def update_without_params(updates: Updates, state: ScaleByNovogradState, params: Params | None = None):
        return update(updates, state, updates)

    return GradientTransformation(init, update if decays else update_without_params)


@factory
def novograd(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.25,
    eps: float = 1e-6,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
) -> GradientTransformationExtraArgs:
    """NovoGrad: momentum of gradients that are divided by the root mean square of their norm, layer by layer.

        Δp = −η·m        m of `scale_by_novograd`, where weight_decay·p enters

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, eps_root, weight_decay: as in `scale_by_novograd`.

    Conventions:
      The decays are Optax's; timm's are b1 = 0.95 and b2 = 0.98. If all gradients of an array so far were 0, timm starts v at
      the next one, as at the first step; here v is then (1−b2)·‖g‖², as in Optax, and the step longer. `grad_averaging=True` of
      timm multiplies the learning rate by 1−b1.

    References:
      Ginsburg et al., 2019, https://arxiv.org/abs/1905.11286
    """
    return chain(scale_by_novograd(b1, b2, eps, eps_root, weight_decay), scale_by_learning_rate(learning_rate))
