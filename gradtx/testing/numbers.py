"""Laws of numbers: what must stay finite."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp

from gradtx.core import GradientTransformation, Params
from gradtx.testing.compare import assert_finite
from gradtx.testing.dtypes import FLOATS
from gradtx.testing.laws import law
from gradtx.testing.samples import around, cast, gradients_like

_STEPS = 256  # after which an average with decay 0.9 is constant to the last digit


@law
def zero_tiny_and_huge_gradients_give_finite_updates(tx: GradientTransformation, params: Params) -> None:
    """No gradient that is itself finite makes a NaN: neither dead units, nor an underflow, nor a spike in float16.

    A gradient is constant for many steps, which is where a variance (a difference of two equal averages) turns negative.
    """
    run = _constantly(tx)
    for dtype in FLOATS:
        p = cast(params, dtype)
        for size, value in (("zero", 0.0), ("tiny", _tiny(dtype)), ("huge", _huge(dtype))):
            updates = run(around(p, value), p)
            assert_finite(updates, f"{_STEPS} {size} gradients ({value}) in {jnp.dtype(dtype)}: updates")


@law
def low_precision_computes_as_float32_does(tx: GradientTransformation, params: Params) -> None:
    """Updates of half-precision gradients are those of float32, rounded: a square in float16 overflows beyond 256."""
    run = _constantly(tx)
    for dtype in FLOATS[1:]:
        p = cast(params, dtype)
        for value in (1.0, _huge(dtype)):
            gradients = around(p, value)
            updates = run(gradients, p)
            expected = cast(run(cast(gradients, jnp.float32), cast(p, jnp.float32)), dtype)
            try:
                chex.assert_trees_all_close(updates, expected, rtol=4 * float(jnp.finfo(dtype).eps), atol=1e-5)
            except AssertionError as error:
                raise AssertionError(f"{_STEPS} gradients around {value} in {jnp.dtype(dtype)}: {error}") from error


@law
def gradients_through_update_are_finite(tx: GradientTransformation, params: Params) -> None:
    """Two updates can be differentiated, also at a zero gradient, where a plain root or norm gives NaN: meta-learning does."""

    def outcome(gradients: Any, params: Any) -> jax.Array:
        state = tx.init(params)
        first, state = tx.update(gradients, state, params)
        second, state = tx.update(gradients, state, params)
        return sum((jnp.sum(jnp.real(u)) for u in jax.tree.leaves((first, second))), start=jnp.zeros(()))

    through = jax.jit(jax.grad(outcome, argnums=(0, 1)))
    zeros = jax.tree.map(jnp.zeros_like, params)
    for case, gradients in (("at", gradients_like(params)), ("at zero", zeros)):
        with_gradients, with_params = through(gradients, params)
        assert_finite(with_gradients, f"the derivative with respect to the gradients, {case} gradients")
        assert_finite(with_params, f"the derivative with respect to the params, {case} gradients")


@functools.lru_cache(maxsize=1)  # two laws in a row compile the same run
def _constantly(tx: GradientTransformation) -> Any:
    """A compiled run of many steps with one gradient, which returns all updates."""

    def run(gradients: Any, params: Any) -> Any:
        def step(state: Any, _: None) -> Any:
            updates, state = tx.update(gradients, state, params)
            return state, updates

        return jax.lax.scan(step, tx.init(params), None, length=_STEPS)[1]

    return jax.jit(run)


def _tiny(dtype: Any) -> float:
    """A number that halves without leaving the normal ones, but whose square is zero."""
    return 2 * float(jnp.finfo(dtype).smallest_normal)


def _huge(dtype: Any) -> float:
    """A large number whose square, summed over steps and a few leaves, float32 can hold: there rules compute."""
    return min(float(jnp.finfo(dtype).max) / 64, float(jnp.finfo(jnp.float32).max) ** 0.5 / 256)
