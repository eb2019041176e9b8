"""Second derivatives of a loss: products with its Hessian, and diagonals.

A loss here is a function `loss(params, inputs, targets) -> scalar`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from gradtx.core import Params
from gradtx.numerics import abs_sq, clipped_to_finite

Loss = Callable[[Params, Any, Any], jax.Array]


def hvp(loss: Loss, v: Any, params: Params, inputs: Any, targets: Any) -> Params:
    """Return the Hessian of a loss times a vector, H·v, at the cost of two gradients.

        H·v = d/dt ∇loss(params + t·v) at t = 0

    Args:
      loss: a function of (params, inputs, targets).
      v: a tree like `params`, or a vector of all their numbers in the order of `jax.flatten_util.ravel_pytree`.
      params: a tree of arrays.
      inputs, targets: of the loss.

    Returns:
      A tree like `params`.

    References:
      Pearlmutter, Fast Exact Multiplication by the Hessian, 1994, https://doi.org/10.1162/neco.1994.6.1.147
    """
    flat, unravel = ravel_pytree(params)
    if isinstance(v, jax.Array) and v.shape == flat.shape:
        v = unravel(v)
    return jax.jvp(lambda params: jax.grad(loss)(params, inputs, targets), (params,), (v,))[1]


def hessian_diag(loss: Loss, params: Params, inputs: Any, targets: Any) -> jax.Array:
    """Return the diagonal of the Hessian of a loss, by as many products with it as there are parameters.

    For large models see Hutchinson's estimate, `hutchinson_estimator_diag_hessian`.

    Args:
      loss, params, inputs, targets: as in `hvp`.

    Returns:
      A vector in the order of `jax.flatten_util.ravel_pytree`.
    """
    flat, unravel = ravel_pytree(params)

    def entry(position: jax.Array) -> jax.Array:
        unit = jnp.zeros_like(flat).at[position].set(1)
        return ravel_pytree(hvp(loss, unravel(unit), params, inputs, targets))[0][position]

    return jax.lax.map(entry, jnp.arange(flat.size))


def fisher_diag(negative_log_likelihood: Loss, params: Params, inputs: Any, targets: Any) -> jax.Array:
    """Return the diagonal of the observed Fisher information: the squares of the gradient of the log-likelihood.

    The gradient is that of the sum over the batch. For the mean over single examples map this function over them.

    Args:
      negative_log_likelihood: a function of (params, inputs, targets).
      params, inputs, targets: as in `hvp`.

    Returns:
      A vector in the order of `jax.flatten_util.ravel_pytree`.
    """
    return clipped_to_finite(abs_sq(ravel_pytree(jax.grad(negative_log_likelihood)(params, inputs, targets))[0]))
