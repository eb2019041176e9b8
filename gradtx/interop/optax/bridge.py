"""Transformations and states from one library to the other, where both are in use."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import keystr, tree_flatten_with_path

from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Transformation,
    factory,
    sealed,
    with_extra_args_support,
)


def to_optax(tx: Transformation) -> Any:
    """Return `tx` as an instance of Optax's own `GradientTransformationExtraArgs`.

    For code that asks for that class: numpyro's and gpjax's `isinstance` checks, and Optax's own `chain`, which drops the
    extra arguments of any other. As is usual in Optax, the result may be given any extra argument.

    Args:
      tx: a transformation of gradtx.

    Raises:
      RuntimeError: Optax is not loaded: gradtx never imports it.
    """
    optax = sys.modules.get("optax")
    if optax is None:
        raise RuntimeError("to_optax makes an instance of a class of Optax, which is not loaded: import optax first.")
    recipe = getattr(tx, "recipe", None)
    return optax.GradientTransformationExtraArgs(*sealed(tx, recipe.name if recipe else "to_optax"))


@factory
def from_optax(tx: Any) -> GradientTransformationExtraArgs:
    """Return a transformation of Optax as one of gradtx.

    Chains and wrappers of gradtx take Optax's as they are; this is for code that asks for gradtx's class.

    Args:
      tx: anything with an `init` and an `update`.

    Raises:
      TypeError: it has none.
    """
    return with_extra_args_support(tx)


def convert_state(state: OptState, like: OptState) -> OptState:
    """Return a state of one library in the containers and dtypes of the other's.

        state = convert_state(optax_state, like=jax.eval_shape(tx.init, params))

    A checkpoint that is restored into a template (Orbax, Flax) needs none of this. An unpickled state has the classes of the
    library that made it, which `lax.scan` and a restored `jit` tell apart.

    Args:
      state: what an optimizer of one library made.
      like: what the same optimizer of the other makes of the same parameters: a state, or its shapes.

    Raises:
      ValueError: the two have different fields, or arrays of different shapes.
    """
    leaves, _ = tree_flatten_with_path(state)
    wanted, structure = tree_flatten_with_path(like)
    for (path, leaf), (wanted_path, model) in zip(leaves, wanted, strict=False):
        if keystr(path) != keystr(wanted_path):
            raise ValueError(f"convert_state: the state has state{keystr(path)} where state{keystr(wanted_path)} is expected.")
        if _shape(leaf, model) != model.shape and not _is_unused(leaf, model):
            raise ValueError(f"convert_state: state{keystr(path)} has the shape {leaf.shape}, expected {model.shape}.")
    if len(leaves) != len(wanted):
        raise ValueError(f"convert_state: the state has {len(leaves)} arrays, expected {len(wanted)}.")
    return structure.unflatten(_as(leaf, model) for (_, leaf), (_, model) in zip(leaves, wanted, strict=True))


def _shape(leaf: Any, model: Any) -> tuple[int, ...]:
    """The shape of `leaf` as a raw or a typed random key, if `model` is one."""
    if _is_key(leaf) and not _is_key(model):
        return jax.eval_shape(jax.random.key_data, leaf).shape
    return leaf.shape[: len(model.shape)] if _is_key(model) else jnp.shape(leaf)


def _is_unused(leaf: Any, model: Any) -> bool:
    """Whether one of them is empty and the other is the number that gradtx has for it, as Orbax saves no empty array."""
    return {leaf.shape, model.shape} == {(0, 0), (1, 1)}


def _as(leaf: Any, model: Any) -> jax.Array:
    if _is_unused(leaf, model):
        return jnp.zeros(model.shape, model.dtype)
    if _is_key(leaf) == _is_key(model):
        return jnp.asarray(leaf) if leaf.dtype == model.dtype else jnp.asarray(leaf).astype(model.dtype)
    return jax.random.wrap_key_data(leaf) if _is_key(model) else jax.random.key_data(leaf)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
