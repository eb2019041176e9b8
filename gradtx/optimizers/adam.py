"""Adam (Kingma & Ba 2015), and AdamW, with decoupled weight decay (Loshchilov & Hutter 2019)."""

from typing import Any, NamedTuple

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
from gradtx.numerics import Count, abs_sq, debias, safe_increment, safe_sqrt, squarable
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


class ScaleByAdamState(NamedTuple):
    """Steps taken, mean of the gradient, mean of its square."""

    count: Count
    mu: Updates
    nu: Updates


def init_adam_state(params: Params, mu_dtype: DTypeLike | None = None) -> ScaleByAdamState:
    """Return the state of one of Adam's family before the first step."""
    mu = tree.moment_like(params, mu_dtype)
    nu = tree.moment_like(params, real=True)
    return ScaleByAdamState(jnp.zeros((), jnp.int32), mu, nu)


def bias_corrections(b1: Any, b2: Any, count: Count, debias_eps: bool = False) -> dict[str, Any]:
    """Return 1−b1ᵗ, 1−b1ᵗ⁺¹ and 1−b2ᵗ: what the means m and v are divided by.

    With `debias_eps`, v is not divided, nor is what is added to it: √(1−b2ᵗ) divides the first two instead.
    """
    debias1, next_debias1, debias2 = debias(b1, count), debias(b1, safe_increment(count)), debias(b2, count)
    if not debias_eps:
        return {"debias1": debias1, "next_debias1": next_debias1, "debias2": debias2}
    root = safe_sqrt(debias2)
    return {"debias1": debias1 / root, "next_debias1": next_debias1 / root, "debias2": 1.0}


def debias_mean(g: jax.Array, m: jax.Array, b1: Any, debias1: Any, next_debias1: Any, nesterov: bool) -> jax.Array:
    """Return m̂ = m / (1−b1ᵗ), or with `nesterov` b1·m/(1−b1ᵗ⁺¹) + (1−b1)·g/(1−b1ᵗ), which looks one step ahead."""
    return b1 * m / next_debias1 + (1 - b1) * g / debias1 if nesterov else m / debias1


@factory
def scale_by_adam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
    debias_eps: bool = False,
) -> GradientTransformation:
    """Adam's rescaling: the mean of the gradient over the root of the mean of its square.

        m ← b1·m + (1−b1)·g              m̂ = m / (1−b1ᵗ)
        v ← b2·v + (1−b2)·|g|²           v̂ = v / (1−b2ᵗ)
        u = m̂ / (√(v̂ + eps_root) + eps)

    With `nesterov`, m̂ = b1·m/(1−b1ᵗ⁺¹) + (1−b1)·g/(1−b1ᵗ), which looks one step ahead. With `debias_eps`

        u = √(1−b2ᵗ) · m̂ / (√(v + eps_root) + eps)

    the order of operations that the end of the paper's section 2 proposes, whose epsilon counts for more at first: where
    gradients are as small as it is, the first steps are shorter by up to √(1−b2).

    Args:
      b1: decay of the mean of the gradient.
      b2: decay of the mean of its square.
      eps: added outside of the root, bounds the step where gradients vanish.
      eps_root: added inside of the root.
      mu_dtype: dtype in which m is kept; by default that of the parameters, float32 at least.
      nesterov: whether to use Nesterov's momentum.
      debias_eps: whether the bias correction covers eps too, as in TensorFlow and Keras; not so in the paper's algorithm and in
        PyTorch.

    Raises:
      ValueError: a decay is not in [0, 1), or an eps is negative.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, https://arxiv.org/abs/1412.6980
      Dozat, Incorporating Nesterov Momentum into Adam, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """
    tree.check_moment_dtype(mu_dtype)

    @tree.lift
    def rule(g, m, v, *, debias1, next_debias1, debias2):
        g = squarable(g)  # clipped for m and v alike, so that their quotient is a bounded step after any gradient
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        mean = debias_mean(g, m, b1, debias1, next_debias1, nesterov)
        return mean / (safe_sqrt(v / debias2 + eps_root) + eps), m, v

    def init(params: Params) -> ScaleByAdamState:
        return init_adam_state(params, mu_dtype)

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)}, update_size=1.0)
    def update(updates: Updates, state: ScaleByAdamState, params: Params | None = None):
        count = safe_increment(state.count)
        updates, mu, nu = rule(updates, state.mu, state.nu, **bias_corrections(b1, b2, count, debias_eps))
        return updates, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


@factory
def adam(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Adam: steps along the mean of the gradient over the root of the mean of its square.

        m ← b1·m + (1−b1)·g              m̂ = m / (1−b1ᵗ)
        v ← b2·v + (1−b2)·|g|²           v̂ = v / (1−b2ᵗ)
        Δp = −η·m̂ / (√(v̂ + eps_root) + eps)

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, eps_root, mu_dtype: as in `scale_by_adam`.
      nesterov: whether to use Nesterov's momentum; `nadam` is this with True.

    Conventions:
      eps is added after the bias of v is corrected, as in PyTorch. Keras adds 1e-7 before (`debias_eps` of `scale_by_adam`),
      which makes the first steps shorter where gradients are small. Their `weight_decay` is a penalty on g in PyTorch, and a
      decay as in `adamw` in Keras. Exactly theirs are `interop.torch.adam` and `interop.keras.adam`.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, https://arxiv.org/abs/1412.6980
    """
    return chain(scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov), scale_by_learning_rate(learning_rate))


@factory
def adamw(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """AdamW: Adam with decoupled weight decay.

        Δp = −η·( m̂ / (√(v̂ + eps_root) + eps) + weight_decay·p )

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, eps_root, mu_dtype: as in `scale_by_adam`.
      weight_decay: fraction of the parameters in a step, before the learning rate; a number or a schedule.
      mask: which parameters decay: a tree of bools, or a function of the parameters that returns one; None for all.
      nesterov: whether to use Nesterov's momentum; `nadamw` is this with True.

    Conventions:
      The decay is multiplied by the learning rate, as in PyTorch and Keras. By default it is 1e-4 as in Optax, 1e-2 in PyTorch,
      4e-3 in Keras, and 0 in the Trainer of transformers. Exactly theirs are `interop.torch.adamw`, `interop.keras.adamw` and
      `interop.transformers.trainer_adamw`.

    References:
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, https://arxiv.org/abs/1711.05101
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
