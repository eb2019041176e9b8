"""Hutchinson's estimator of the diagonal of the Hessian (Hutchinson 1990, Bekas et al. 2007)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import GradientTransformationExtraArgs, Params, Updates, factory
from gradtx.transforms.noise import as_key, split_key
from gradtx.tree import mismatch


class HutchinsonState(NamedTuple):
    """Key of the next random signs."""

    key: jax.Array


@factory
def hutchinson_estimator_diag_hessian(random_seed: jax.Array | int | None = None) -> GradientTransformationExtraArgs:
    """Replace the updates by an estimate of the diagonal of the Hessian, whatever they are.

        u = z ⊙ (∇²f(p) z),   z random signs

    It has no bias, much variance where the Hessian is not diagonal, and costs about two gradients. `update` reads `obj_fn=`,
    the objective f as a function of the parameters alone. On several devices the estimate is that of each one's f: let f be
    that of the whole batch.

    Args:
      random_seed: key of the random signs, or the number to make it from; None for 0.

    References:
      Hutchinson, A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian Smoothing Splines, 1990,
        https://doi.org/10.1080/03610919008812866
      Bekas, Kokiopoulou and Saad, An Estimator for the Diagonal of a Matrix, 2007,
        https://doi.org/10.1016/j.apnum.2007.01.003
    """

    start = 0 if random_seed is None else random_seed

    @tree.lift
    def rule(g, z, hz):
        del g
        return jnp.real(jnp.conj(z) * hz)

    def init(params: Params) -> HutchinsonState:
        mismatch.check_params("hutchinson_estimator_diag_hessian", params)
        return HutchinsonState(as_key(start))

    def update(updates: Updates, state: HutchinsonState, params: Params, *, obj_fn: Callable[[Params], Any]):
        next_key, [key] = split_key(state.key, start)
        signs = jax.tree.map(tree.varying_like, params, tree.random_like(key, params, jax.random.rademacher))
        with mismatch.explaining("hutchinson_estimator_diag_hessian", p=params):
            _, curvature = jax.jvp(jax.grad(obj_fn), (params,), (signs,))
        return rule(updates, signs, curvature), HutchinsonState(next_key)

    return GradientTransformationExtraArgs(init, update)
