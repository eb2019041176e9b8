"""An `update` that is compiled once: for loops, conditions, and inner transformations that change."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.core import OptState, Params, Updates


def compiled(update: Callable[..., tuple[Updates, OptState]]) -> Callable[..., tuple[Updates, OptState]]:
    """Run an `update` through `jax.jit`, so that calls outside of `jit` do not compile again each time.

    `lax.cond` compiles its branches anew wherever it is called with new closures, and a transformation that is rebuilt
    has new rules; both become one compiled function here. Under an outer `jit` nothing changes.

    Extra arguments may hold what is not an array, such as `value_fn`: that is static, so a new function (a lambda written
    in the loop) compiles again, and the same one does not.
    """

    def run(updates: Updates, state: OptState, params: Params | None, arrays: list[Any], static: Any):
        structure, others = static
        leaves = [other if array is None else array for array, other in zip(arrays, others, strict=True)]
        return update(updates, state, params, **structure.unflatten(leaves))

    run.__name__ = update.__qualname__.split(".")[0]  # the name that profilers show
    jitted = jax.jit(run, static_argnames="static")

    @functools.wraps(update)
    def call(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        leaves, structure = jax.tree.flatten(extra_args)
        arrays = [leaf if _is_array(leaf) else None for leaf in leaves]
        others = tuple(None if _is_array(leaf) else leaf for leaf in leaves)
        return jitted(updates, state, params, arrays, static=(structure, others))

    return call


def keep_dtypes(new: Any, old: Any) -> Any:
    """Return the tree `new` with the dtypes of `old`.

    Transformations from other libraries may change the dtypes of their state, which a condition and a loop refuse.
    """
    return jax.tree.map(_cast_like, new, old)


def run_if(condition: Any, run: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """Return what `run()` returns where the condition holds, in the dtypes of `otherwise()`, and that elsewhere.

    Only one of the two runs. Under `vmap` both do, and a choice is made for each member.
    """
    return jax.lax.cond(condition, lambda: keep_dtypes(run(), jax.eval_shape(otherwise)), otherwise)


def _cast_like(new: Any, old: Any) -> jax.Array:
    new, dtype = jnp.asarray(new), jnp.result_type(old)
    return new if new.dtype == dtype else new.astype(dtype)


def _is_array(leaf: Any) -> bool:
    """Numbers are traced; a flag chooses code, so it is not."""
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float | complex) and not isinstance(leaf, bool)
