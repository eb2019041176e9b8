"""AdaMax, Adam with the infinity norm (Kingma & Ba 2015)."""

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import GradientTransformation, Params, Updates, factory
from gradtx.numerics import debias, safe_increment
from gradtx.transforms.adam import ScaleByAdamState, init_adam_state


@factory
def scale_by_adamax(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, *, eps_in_max: bool = True
) -> GradientTransformation:
    """Divide the mean of the gradient by the largest recent magnitude.

        m ← b1·m + (1−b1)·g
        v ← max(b2·v, |g| + eps)
        u = m / (1−b1ᵗ) / v

    Without `eps_in_max`, v ← max(b2·v, |g|) and u = m / (1−b1ᵗ) / (v + eps): in v, no eps decays.

    Args:
      b1: decay of the mean of the gradient.
      b2: decay of the magnitude.
      eps: added to the magnitude, keeps what is divided by above 0.
      eps_in_max: whether eps is added before the maximum is taken (as in PyTorch) or after (as in Keras).

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, section 7.1, 2015, https://arxiv.org/abs/1412.6980
    """

    @tree.lift
    def rule(g, m, v, *, debias1):
        m = b1 * m + (1 - b1) * g
        v = jnp.maximum(b2 * v, jnp.abs(g) + eps if eps_in_max else jnp.abs(g))
        return m / debias1 / (v if eps_in_max else v + eps), m, v

    def init(params: Params) -> ScaleByAdamState:
        return init_adam_state("scale_by_adamax", params)

    def update(updates: Updates, state: ScaleByAdamState, params: Params | None = None):
        count = safe_increment(state.count)
        updates, mu, nu = rule(updates, state.mu, state.nu, debias1=debias(b1, count))
        return updates, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)
