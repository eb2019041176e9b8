"""AMSGrad (Reddi et al. 2018)."""

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
from gradtx.errors import unnamed
from gradtx.numerics import Count, abs_sq, safe_increment, safe_sqrt, squarable
from gradtx.optimizers.adam import bias_corrections, init_adam_state
from gradtx.transforms.scale import scale_by_learning_rate


class ScaleByAmsgradState(NamedTuple):
    """Steps taken, mean of the gradient, mean of its square, the largest such mean so far."""

    count: Count
    mu: Updates
    nu: Updates
    nu_max: Updates


def init_amsgrad_state(params: Params, mu_dtype: DTypeLike | None = None) -> ScaleByAmsgradState:
    """Return the state before the first step."""
    return ScaleByAmsgradState(*init_adam_state(params, mu_dtype), tree.moment_like(params, real=True))


@factory
def scale_by_amsgrad(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    max_before_debias: bool = False,
    debias_eps: bool = False,
) -> GradientTransformation:
    """AMSGrad's rescaling: the mean of the gradient over the root of the largest mean of its square so far.

        m ← b1·m + (1−b1)·g              m̂ = m / (1−b1ᵗ)
        v ← b2·v + (1−b2)·|g|²           v̂ = v / (1−b2ᵗ)
        w ← max(w, v̂)
        u = m̂ / (√(w + eps_root) + eps)

    With `max_before_debias` it is the maximum that is corrected, so that the large v̂ of the first steps are not kept:

        w ← max(w, v)
        u = m̂ / (√(w / (1−b2ᵗ) + eps_root) + eps)

    Args:
      b1, b2, eps, eps_root, mu_dtype: as in `scale_by_adam`.
      bias_correction_mu, bias_correction_nu: False uses m instead of m̂, and v instead of v̂.
      max_before_debias: whether to take the maximum of v and to correct it afterwards, as PyTorch and Keras do.
      debias_eps: whether the bias correction covers eps too, as in Keras; see `scale_by_adam`. It implies `max_before_debias`.

    References:
      Reddi, Kale and Kumar, On the Convergence of Adam and Beyond, 2018, https://openreview.net/forum?id=ryQu7f-RZ
    """
    tree.check_moment_dtype(mu_dtype)
    if (max_before_debias or debias_eps) and not (bias_correction_mu and bias_correction_nu):
        raise unnamed(ValueError, "max_before_debias and debias_eps need the bias corrections, of mu and of nu.")

    @tree.lift
    def rule(g, m, v, v_max, *, debias1, debias2):
        g = squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        mean = m / debias1 if bias_correction_mu else m
        v_max = jnp.maximum(v_max, v / debias2 if bias_correction_nu and not max_before_debias else v)
        largest = v_max / debias2 if max_before_debias else v_max
        return mean / (safe_sqrt(largest + eps_root) + eps), m, v, v_max

    def init(params: Params) -> ScaleByAmsgradState:
        return init_amsgrad_state(params, mu_dtype)

    @tells(decays={"mu": ("b1", b1), "nu": ("b2", b2)}, update_size=1.0)
    def update(updates: Updates, state: ScaleByAmsgradState, params: Params | None = None):
        count = safe_increment(state.count)
        weights = bias_corrections(b1, b2, count, debias_eps)
        del weights["next_debias1"]
        updates, mu, nu, nu_max = rule(updates, state.mu, state.nu, state.nu_max, **weights)
        return updates, ScaleByAmsgradState(count, mu, nu, nu_max)

    return GradientTransformation(init, update)


@factory
def amsgrad(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformationExtraArgs:
    """AMSGrad: Adam with steps that never lengthen, as they are divided by the largest mean square so far.

        w ← max(w, v̂)
        Δp = −η·m̂ / (√(w + eps_root) + eps)

    m̂ and v̂ are those of `adam`.

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu: as in `scale_by_amsgrad`.

    Conventions:
      The maximum is taken of the corrected v̂, as in Optax; PyTorch and Keras take it of v and correct it afterwards
      (`max_before_debias` of `scale_by_amsgrad`). Exactly theirs are `interop.torch.adam` and `interop.keras.adam` with
      `amsgrad`.

    References:
      Reddi, Kale and Kumar, On the Convergence of Adam and Beyond, 2018, https://openreview.net/forum?id=ryQu7f-RZ
    """
    return chain(
        scale_by_amsgrad(b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu),
        scale_by_learning_rate(learning_rate),
    )
