"""AdaMax (Kingma & Ba 2015), and with decoupled weight decay."""

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
from gradtx.numerics import debias, safe_increment
from gradtx.optimizers.adam import ScaleByAdamState, init_adam_state
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


@factory
def scale_by_adamax(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, *, eps_in_max: bool = True
) -> GradientTransformation:
    """Adamax's rescaling: the mean of the gradient over its largest recent magnitude.

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
        return init_adam_state(params)

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)}, update_size=1.0)
    def update(updates: Updates, state: ScaleByAdamState, params: Params | None = None):
        count = safe_increment(state.count)
        updates, mu, nu = rule(updates, state.mu, state.nu, debias1=debias(b1, count))
        return updates, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


@factory
def adamax(
    learning_rate: ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> GradientTransformationExtraArgs:
    """Adamax: Adam with the largest recent magnitude of the gradient instead of the root mean square.

        Δp = −η·m / (1−b1ᵗ) / v        m and v of `scale_by_adamax`

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps: as in `scale_by_adamax`.

    Conventions:
      eps is added before the maximum is taken, as in PyTorch; Keras adds 1e-7 after (`eps_in_max=False` of `scale_by_adamax`).
      Exactly theirs are `interop.torch.adamax` and `interop.keras.adamax`.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, section 7.1, 2015, https://arxiv.org/abs/1412.6980
    """
    return chain(scale_by_adamax(b1, b2, eps), scale_by_learning_rate(learning_rate))


@factory
def adamaxw(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """AdamaxW: `adamax` with decoupled weight decay.

        Δp = −η·( m / (1−b1ᵗ) / v + weight_decay·p )

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps: as in `scale_by_adamax`.
      weight_decay, mask: as in `adamw`.

    References:
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, https://arxiv.org/abs/1711.05101
    """
    return chain(scale_by_adamax(b1, b2, eps), add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
