"""What line searches share: the objective with its arguments, slopes, and values that the next step need not compute again."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.compiled import compiled
from gradtx.core import ANYTHING, PROTOCOL_EXTRA_ARGS, OptState, Params, Updates, keywords, only, refuse_misspelt

ValueFn = Callable[..., Any]
"""The objective: parameters in, and perhaps arguments by keyword; a real scalar out."""


def objective(value_fn: ValueFn, extra_args: Mapping[str, Any]) -> Callable[[Params], Any]:
    """Return `value_fn` as a function of the parameters alone: those extra arguments that it takes are filled in.

    Args:
      value_fn: a function of the parameters and of arguments by keyword.
      extra_args: what `update` was given besides its own arguments. What `value_fn` does not take may be meant for others.

    Raises:
      TypeError: one of them is a misspelling of an argument of `value_fn`.
    """
    names = _keywords(value_fn)
    refuse_misspelt(extra_args, names)
    # What the protocol names is meant for others, unless the objective names it, too.
    meant = {name: arg for name, arg in extra_args.items() if name in names or name not in PROTOCOL_EXTRA_ARGS}
    taken = only(names, meant)
    return lambda params: value_fn(params, **taken)


def _keywords(value_fn: ValueFn) -> frozenset[str]:
    try:
        return keywords(value_fn, after=1)  # the first are the parameters
    except ValueError:  # a builtin, which does not tell
        return frozenset({ANYTHING})


def slope(grad: Updates, updates: Updates) -> jax.Array:
    """Return the derivative of the objective along the updates, for the gradient as `jax.grad` gives it.

    Of a complex parameter that is ∂f/∂x − i·∂f/∂y, the conjugate of the direction in which the objective grows fastest.
    """
    return tree.vdot(updates, tree.conj(grad)).real


def scaled(updates: Updates, learning_rate: Any) -> Updates:
    """Return `learning_rate`·u, and zero at rate 0 whatever u is: a search that finds no finite value moves nothing."""
    return _scaled(updates, learning_rate=learning_rate)


@tree.lift
def _scaled(u, *, learning_rate):
    return jnp.where(learning_rate == 0, jnp.zeros_like(u), learning_rate * u)


def usable(learning_rate: jax.Array) -> jax.Array:
    """Return the learning rate of the last step to begin with, 1 if that step was not taken: from 0 no search goes on."""
    return jnp.where(learning_rate > 0, learning_rate, jnp.ones_like(learning_rate))


def nonnegative(error: jax.Array) -> jax.Array:
    """Return how far a condition is missed: 0 if it holds, inf if it cannot be said."""
    return jnp.where(jnp.isnan(error), jnp.inf, jnp.maximum(error, 0))


def value_and_grad_from_state(value_fn: ValueFn) -> Callable[..., tuple[jax.Array, Updates]]:
    """Return a function like `jax.value_and_grad(value_fn)` that takes what a line search has computed already.

        value_and_grad = gradtx.value_and_grad_from_state(loss)
        value, grad = value_and_grad(params, state=state)
        updates, state = tx.update(grad, state, params, value=value, grad=grad, value_fn=loss)

    It computes at the first step alone, and where the value in the state is not finite. Two conditions are yours to keep: the
    objective is the same at every step (not that of another batch), and nothing comes after the line search.

    Args:
      value_fn: a function of the parameters and of further arguments.

    Returns:
      A function of the same arguments and `state=`. It raises `ValueError` if the state holds no value or no gradient, as
      that of `scale_by_backtracking_linesearch` without `store_grad`, and `KeyError` if it holds several.
    """

    @compiled  # or the condition would be compiled at every call
    def reuse(value: jax.Array, grad: Updates, params: Params, *, args: Any, kwargs: Any):
        def stored():
            return value, tree.cast_like(grad, params)

        def computed():
            new_value, new_grad = jax.value_and_grad(value_fn)(params, *args, **kwargs)
            return jnp.asarray(new_value, value.dtype), new_grad

        return jax.lax.cond(jnp.isfinite(value), stored, computed)

    def value_and_grad(params: Params, *fn_args: Any, state: OptState, **fn_kwargs: Any) -> tuple[jax.Array, Updates]:
        value, grad = tree.get(state, "value"), tree.get(state, "grad")
        if value is None or grad is None:
            raise ValueError(
                "value_and_grad_from_state: the state holds no value and gradient; use scale_by_zoom_linesearch(...) "
                "or scale_by_backtracking_linesearch(..., store_grad=True)."
            )
        return reuse(value, grad, params, args=fn_args, kwargs=fn_kwargs)

    return value_and_grad
