"""Put two trees together: parameters and updates, new tensors and old ones.

What comes out has the dtypes and the layout of the parameters, or of the old tensors. The compiler would not see to the
second: where the updates are sharded, as they are if the state is, it shards the sum as well, and from the second step on
the program is another one than was asked for.
"""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx import require, tree
from gradtx.core import Updates, keeps_contract
from gradtx.errors import names_errors_when_alone, unnamed
from gradtx.tree import mismatch
from gradtx.tree.dtypes import truncates
from gradtx.tree.layout import kept_like, reshard_like

_Tree = TypeVar("_Tree")

_ALIKE = "Both must be trees of the same shapes."


@names_errors_when_alone
def apply_updates(params: _Tree, updates: Updates) -> _Tree:
    """Return `params + updates`, each leaf in the dtype and the layout of the parameter, added in float32 or wider.

    Where an update is masked (`None` or `MaskedNode()`), the parameter stays as it is.

    Args:
      params: a tree of arrays.
      updates: a tree like `params`. The update of an integer is an integer, such as the zero of `set_to_zero`.

    Raises:
      TypeError: an update would have to be rounded to an integer.
      ValueError: the trees do not match, or `updates` as a whole is None.
    """
    _refuse_none("updates", updates, params, "updates, state = tx.update(gradients, state, params)")
    floats = jax.tree.map(lambda u: None if _is_integer(u) else u, updates, is_leaf=tree.is_hole)
    moved = _apply_updates(floats, params)
    moved = jax.tree.map(_add_integers, updates, moved, is_leaf=tree.is_hole)
    return jax.tree.map(kept_like, params, moved)


@tree.lift(like="params", advice="Updates are made for their params: updates, state = tx.update(gradients, state, params).")
def _apply_updates(updates, params):
    return params + reshard_like(params, updates)


def _add_integers(u: Any, p: Any) -> Any:
    """`p + u` if `u` holds integers; anything else was added before."""
    if not _is_integer(u):
        return p
    if u.shape != jnp.shape(p):
        raise unnamed(ValueError, f"an update of shape {u.shape} for an integer parameter of shape {jnp.shape(p)}")
    return p + u.astype(jnp.result_type(p))


@names_errors_when_alone
@keeps_contract()
def incremental_update(new_tensors: Any, old_tensors: _Tree, step_size: ArrayLike) -> _Tree:
    """Move old tensors a part of the way to new ones: Polyak averages, target networks.

        old ← step_size·new + (1 − step_size)·old

    It is computed in float32 or wider and kept in the dtype of the old tensors; in bfloat16 these stand still when
    `step_size` is below 0.002, so keep them in float32. Where the new leaf is masked, the old tensor stays.

    Args:
      new_tensors: a tree of arrays.
      old_tensors: a tree like it.
      step_size: how far to go, from 0 (stay) to 1 (replace).

    Raises:
      TypeError: a leaf is not a floating-point or complex array.
      ValueError: the trees do not match, or `new_tensors` as a whole is None.

    References:
      Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992, https://doi.org/10.1137/0330046
    """
    _refuse_none("new_tensors", new_tensors, old_tensors, "incremental_update(new, old, step_size)")
    moved = _incremental_update(new_tensors, old_tensors, step_size=step_size)
    return jax.tree.map(kept_like, old_tensors, moved)


@tree.lift(like="old_tensors", advice=_ALIKE)
def _incremental_update(new_tensors, old_tensors, *, step_size):
    return step_size * reshard_like(old_tensors, new_tensors) + (1 - step_size) * old_tensors


@names_errors_when_alone
@keeps_contract(update_period=require.AT_LEAST_ONE)
def periodic_update(new_tensors: Any, old_tensors: _Tree, steps: Any, update_period: int) -> _Tree:
    """Replace old tensors by new ones when `steps` is a multiple of `update_period`; else keep them.

    Arrays may be of any dtype; the result has that of the old one. Where the new leaf is masked, the old tensor stays.

    Args:
      new_tensors: a tree of arrays.
      old_tensors: a tree like it.
      steps: an integer, how many steps were taken.
      update_period: an integer, after how many steps to replace.

    Raises:
      TypeError: a float would have to be rounded to an integer.
      ValueError: `update_period` is less than 1, the trees do not match, or `new_tensors` as a whole is None.

    References:
      Mnih et al., Human-level control through deep reinforcement learning, 2015, https://doi.org/10.1038/nature14236
    """
    _refuse_none("new_tensors", new_tensors, old_tensors, "periodic_update(new, old, steps, period)")
    due = jnp.asarray(steps) % update_period == 0

    def chosen(new: Any, old: Any) -> Any:
        if tree.is_hole(new):
            return old
        new, old = jnp.asarray(new), jnp.asarray(old)
        if new.shape != old.shape:
            raise unnamed(ValueError, f"an array of shape {new.shape} cannot replace one of shape {old.shape}.")
        if truncates(new.dtype, old.dtype):
            raise unnamed(TypeError, f"{new.dtype} does not fit into {old.dtype}: part of a number would be lost.")
        return jnp.where(due, reshard_like(old, new).astype(old.dtype), old)

    try:
        replaced = jax.tree.map(chosen, new_tensors, old_tensors, is_leaf=tree.is_hole)
    except ValueError:
        mismatch.check_same(_ALIKE, new_tensors=new_tensors, old_tensors=old_tensors)
        raise
    return jax.tree.map(kept_like, old_tensors, replaced)


def _refuse_none(name: str, new: Any, old: Any, usage: str) -> None:
    """Raise `ValueError` if None, which masks a leaf, would mask a whole tree that has arrays."""
    if new is None and jax.tree.leaves(old):
        raise unnamed(ValueError, f"{name} is None, so nothing would change; None may mask a leaf. Write {usage}.")


def _is_integer(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and (jnp.issubdtype(leaf.dtype, jnp.integer) or leaf.dtype == bool)
