"""Averages of gradients and of their powers, kept over the steps.

The moments keep their own dtype, and the averages are taken in float32 or wider. Where the updates have a hole, the moment
stays as it is.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from gradtx.errors import names_errors_when_alone
from gradtx.numerics import abs_sq, clipped_to_finite, debias
from gradtx.tree.lift import lift

_Tree = TypeVar("_Tree")


@names_errors_when_alone
def update_moment(updates: Any, moments: _Tree, decay: Any, order: int) -> _Tree:
    """Return the average of powers of the updates, m ← decay·m + (1−decay)·gᵒʳᵈᵉʳ.

    Args:
      updates: a tree of arrays.
      moments: a tree like it, of the averages until now.
      decay: weight of the averages until now.
      order: a Python number.
    """
    return _update_moment(order)(updates, moments, decay=decay, weight=1 - decay)


@names_errors_when_alone
def update_moment_per_elem_norm(updates: Any, moments: _Tree, decay: Any, order: int) -> _Tree:
    """Return the average of powers of the moduli of the updates, m ← decay·m + (1−decay)·|g|ᵒʳᵈᵉʳ, which is real.

    Args:
      updates: a tree of arrays, real or complex.
      moments: a tree like it of real arrays, of the averages until now.
      decay: weight of the averages until now.
      order: a Python number.
    """
    return _update_moment_per_elem_norm(order)(updates, moments, decay=decay, weight=1 - decay)


@names_errors_when_alone
def update_infinity_moment(updates: Any, moments: _Tree, decay: Any, eps: Any) -> _Tree:
    """Return the decaying maximum of the moduli of the updates, m ← max(decay·m, |g| + eps).

    Args:
      updates: a tree of arrays, real or complex.
      moments: a tree like it of real arrays, of the maxima until now.
      decay: weight of the maxima until now.
      eps: added to every modulus.
    """
    return _update_infinity_moment(updates, moments, decay=decay, eps=eps)


@names_errors_when_alone
def bias_correction(moment: _Tree, decay: Any, count: Any) -> _Tree:
    """Return m / (1 − decayᵗ): an average that began at zero, without the weight of that zero.

    Args:
      moment: a tree of arrays.
      decay: of the average.
      count: the steps t that were taken, at least one.
    """
    return _bias_correction(moment, weight=debias(decay, jnp.asarray(count)))


@functools.lru_cache(maxsize=8)
def _update_moment(order: int) -> Callable[..., Any]:
    @lift(like="m")
    def rule(g, m, *, decay, weight):
        return decay * m + weight * g**order

    return rule


@functools.lru_cache(maxsize=8)
def _update_moment_per_elem_norm(order: int) -> Callable[..., Any]:
    def power(g: jax.Array) -> jax.Array:
        # Even powers without the root that the modulus of a complex number takes.
        return clipped_to_finite(abs_sq(g)) ** (order // 2) if order % 2 == 0 else jnp.abs(g) ** order

    @lift(like="m")
    def rule(g, m, *, decay, weight):
        return decay * m + weight * power(g)

    return rule


@lift(like="m")
def _update_infinity_moment(g, m, *, decay, eps):
    return jnp.maximum(decay * m, jnp.abs(g) + eps)


@lift
def _bias_correction(m, *, weight):
    return m / weight
