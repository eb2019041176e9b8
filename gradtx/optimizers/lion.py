"""Lion (Chen et al. 2023)."""

from collections.abc import Callable
from typing import Literal, NamedTuple

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
    chain,
    factory,
    tells,
)
from gradtx.errors import unnamed
from gradtx.numerics import Count, safe_increment, without_infinity
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


class ScaleByLionState(NamedTuple):
    """Steps taken, mean of the gradient."""

    count: Count
    mu: Updates


@factory
def scale_by_lion(
    b1: float = 0.9,
    b2: float = 0.99,
    mu_dtype: DTypeLike | None = None,
    *,
    mode: Literal["hard", "smooth", "refined"] = "hard",
    smooth_beta: float = 1.0,
) -> GradientTransformation:
    """Lion's update: the sign of an interpolation of gradient and momentum; every coordinate moves by the same amount.

        c = b1·m + (1−b1)·g
        m ← b2·m + (1−b2)·g
        u = sign(c)

    Args:
      b1: weight of the past in the direction.
      b2: decay of the mean that is kept.
      mu_dtype: dtype in which m is kept; by default that of the parameters, float32 at least.
      mode: instead of sign(c), "smooth" takes tanh(smooth_beta·c), and "refined" takes c where |c| < 1.
      smooth_beta: steepness of "smooth".

    Raises:
      ValueError: `mode` is not one of the three.

    References:
      Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, https://arxiv.org/abs/2302.06675
    """
    tree.check_moment_dtype(mu_dtype)
    sign = _sign(mode, smooth_beta)

    @tree.lift
    def rule(g, m):
        return sign(without_infinity(b1 * m + (1 - b1) * g)), b2 * m + (1 - b2) * g

    def init(params: Params) -> ScaleByLionState:
        return ScaleByLionState(jnp.zeros((), jnp.int32), tree.moment_like(params, mu_dtype))

    @tells(decays={"mu": ("b2", b2)}, update_size=1.0)
    def update(updates: Updates, state: ScaleByLionState, params: Params | None = None):
        updates, mu = rule(updates, state.mu)
        return updates, ScaleByLionState(safe_increment(state.count), mu)

    return GradientTransformation(init, update)


def _sign(mode: str, smooth_beta: float) -> Callable[[jax.Array], jax.Array]:
    signs = {
        "hard": jnp.sign,
        "smooth": lambda c: jnp.tanh(smooth_beta * c),
        "refined": lambda c: jnp.where(jnp.abs(c) < 1, c, jnp.sign(c)),
    }
    if mode not in signs:
        raise unnamed(ValueError, f"mode must be one of {', '.join(signs)}, got {mode!r}")
    return signs[mode]


@factory
def lion(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.99,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 1e-3,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """Lion: the sign of an interpolation of gradient and momentum; one moment, and steps of one size.

        Δp = −η·( sign(b1·m + (1−b1)·g) + weight_decay·p )
        m ← b2·m + (1−b2)·g

    The paper suggests a learning rate 3 to 10 times smaller than for AdamW, and a decay that much larger.

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, mu_dtype: as in `scale_by_lion`.
      weight_decay, mask: as in `adamw`.

    Conventions:
      The formula is Keras's, which does not decay by default: `interop.keras.lion`. Nor does the package lion-pytorch.

    References:
      Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, https://arxiv.org/abs/2302.06675
    """
    return chain(
        scale_by_lion(b1, b2, mu_dtype), add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate)
    )
