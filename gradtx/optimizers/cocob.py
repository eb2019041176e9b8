"""COCOB (Orabona & Tommasi 2017): coordinates that bet on coins."""

from typing import NamedTuple

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
    tells,
)
from gradtx.require import POSITIVE
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


class COCOBState(NamedTuple):
    """The start; the sum of minus the gradients, their largest modulus, the sum of their moduli, and the reward."""

    init_particles: Params
    cumulative_gradients: Updates
    scale: Updates
    subgradients: Updates
    reward: Updates


@factory(alpha=POSITIVE, eps=POSITIVE)
def scale_by_cocob(alpha: float = 100.0, eps: float = 1e-8) -> GradientTransformation:
    """COCOB's updates: coin betting on the sign of the next gradient, coordinate by coordinate.

        L ← max(L, |g|)            G ← G + |g|            θ ← θ − g
        R ← max(R − g·(p − p₀), 0)
        u = p₀ + θ/L·(1 + R/L) / max(G/L + 1, alpha) − p

    The updates are steps. They do not depend on the scale of the gradients.

    Args:
      alpha: 1/alpha is the most that is bet on a first gradient, and the size of the first step.
      eps: L at the start.

    References:
      Orabona and Tommasi, Training Deep Networks without Learning Rates Through Coin Betting, 2017,
        https://arxiv.org/abs/1705.07795
    """

    @tree.lift
    def rule(g, p0, theta, largest, total, reward, p):
        size = jnp.abs(g)
        largest = jnp.maximum(largest, size)
        total = total + size
        reward = jnp.maximum(reward - jnp.real(jnp.conj(g) * (p - p0)), 0)
        theta = theta - g
        # In units of L, whose multiples may overflow; the compiler makes one of two divisions in a row, so they are apart.
        bet = theta / largest * (1 + reward / largest) / jnp.maximum(total / largest + 1, alpha)
        return p0 + bet - p, p0, theta, largest, total, reward

    def init(params: Params) -> COCOBState:
        return COCOBState(
            init_particles=tree.copy_of(params),
            cumulative_gradients=tree.moment_like(params),
            scale=tree.moment_like(params, fill_value=eps, real=True),
            subgradients=tree.moment_like(params, real=True),
            reward=tree.moment_like(params, real=True),
        )

    @tells(precise=COCOBState._fields)  # of which all together are the parameters
    def update(updates: Updates, state: COCOBState, params: Params):
        updates, *parts = rule(updates, *state, params)
        return updates, COCOBState(*parts)

    return GradientTransformation(init, update)


@factory(alpha=POSITIVE, eps=POSITIVE)
def cocob(
    learning_rate: ScalarOrSchedule = 1.0,
    alpha: float = 100.0,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """COCOB: coin-betting updates for each coordinate; needs no learning rate.

        Δp = p₀ + θ/L·(1 + R/L) / max(G/L + 1, alpha) − p        L, G, θ and R of `scale_by_cocob`

    Args:
      learning_rate: what the gradients are multiplied by, a number or a schedule. A constant changes nothing, since the
        steps do not depend on the scale of the gradients; a schedule makes some gradients count more than others.
      alpha, eps: as in `scale_by_cocob`.
      weight_decay, mask: an L2 penalty, added to the gradient; see `add_decayed_weights`.

    References:
      Orabona and Tommasi, 2017, https://arxiv.org/abs/1705.07795
    """
    return chain(
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate, flip_sign=False),
        scale_by_cocob(alpha, eps),
    )
