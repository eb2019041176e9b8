"""MADGRAD (Defazio & Jelassi 2021)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

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
from gradtx.numerics import Count, added_finitely, bounded_square, safe_increment, squarable
from gradtx.transforms.weight_decay import add_decayed_weights


class MadgradState(NamedTuple):
    """Steps taken, weighted sums of the square of the gradient and of the gradient, and the parameters at the start."""

    count: Count
    grad_sum_sq: Updates
    s: Updates
    x0: Params


@factory
def scale_by_madgrad(learning_rate: ScalarOrSchedule, momentum: float = 0.9, eps: float = 1e-6) -> GradientTransformation:
    """MADGRAD's updates: dual averaging from the start, with the sum of all gradients over the cube root of their squares.

        λ = (η + eps)·√t
        s ← s + λ·g
        v ← v + λ·|g|²
        z = x₀ − s / (∛v + eps)
        u = (1−momentum)·(z − p)

    The updates are steps: the learning rate is a weight of the gradients and must not be applied again.

    Args:
      learning_rate: η, a number or a schedule.
      momentum: how much of the way to z is left.
      eps: added to the cube root, and to the learning rate, as in the authors' code.

    References:
      Defazio and Jelassi, Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient Method for
        Stochastic Optimization, 2021, https://arxiv.org/abs/2101.11075
    """

    @tree.lift
    def rule(g, v, s, x0, p, *, weight):
        v = added_finitely(v, weight * bounded_square(g))
        s = s + weight * squarable(g)
        z = x0 - s / (_safe_cbrt(v) + eps)
        return (1 - momentum) * (z - p), v, s

    def init(params: Params) -> MadgradState:
        return MadgradState(
            count=jnp.zeros((), jnp.int32),
            grad_sum_sq=tree.moment_like(params, real=True),
            s=tree.moment_like(params),
            x0=tree.copy_of(params),
        )

    @tells(precise=("grad_sum_sq", "s", "x0"))  # of which all together are the parameters
    def update(updates: Updates, state: MadgradState, params: Params):
        count = safe_increment(state.count)
        root = jnp.sqrt(count.astype(float))
        weight = (jnp.asarray(at_step(learning_rate, state.count), root.dtype) + eps) * root
        updates, grad_sum_sq, s = rule(updates, state.grad_sum_sq, state.s, state.x0, params, weight=weight)
        return updates, MadgradState(count, grad_sum_sq, s, state.x0)

    return GradientTransformation(init, update)


def _safe_cbrt(x: jax.Array) -> jax.Array:
    """∛x with derivative 0 at 0, where the true one is infinite."""
    zero = x == 0
    return jnp.where(zero, 0, jnp.cbrt(jnp.where(zero, 1, x)))


@factory
def madgrad(
    learning_rate: ScalarOrSchedule, momentum: float = 0.9, weight_decay: ScalarOrSchedule = 0.0, eps: float = 1e-6
) -> GradientTransformationExtraArgs:
    """MADGRAD: momentum and dual averaging from the start, adapted as in AdaGrad by a cube root.

        s ← s + η·√t·g          v ← v + η·√t·|g|²
        Δp = (1−momentum)·(x₀ − s / (∛v + eps) − p)

    It needs less weight decay than other methods, often none.

    Args:
      learning_rate, momentum, eps: as in `scale_by_madgrad`.
      weight_decay: an L2 penalty, added to the gradient; see `add_decayed_weights`.

    References:
      Defazio and Jelassi, 2021, https://arxiv.org/abs/2101.11075
    """
    return chain(add_decayed_weights(weight_decay), scale_by_madgrad(learning_rate, momentum, eps))
