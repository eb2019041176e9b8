"""The parts of a state that have the shapes of the parameters, with the names of their fields."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.tree.holes import is_hole
from gradtx.tree.quantized import is_quantized
from gradtx.tree.search import is_namedtuple


def map_parameter_shaped(f: Callable[[str, Any], Any], state: Any, params: Any) -> Any:
    """Return a state with `f(field, part)` instead of each part that has the structure and the shapes of the parameters.

    Args:
      f: a function of the name of the field that the part is in, and of the part, which may have holes.
      state: the state of a transformation.
      params: the parameters, or what has their shapes.
    """
    leaves, structure = jax.tree.flatten(params, is_leaf=is_hole)
    shapes = [None if is_hole(leaf) else jnp.shape(leaf) for leaf in leaves]

    def has_their_shapes(part: Any) -> bool:
        own, own_structure = jax.tree.flatten(part, is_leaf=_is_one)
        return own_structure == structure and all(map(_fits, own, shapes))

    def mapped(field: str, part: Any) -> Any:
        if has_their_shapes(part):
            return f(field, part)
        if is_namedtuple(part):
            return part._replace(**{name: mapped(name, getattr(part, name)) for name in part._fields})
        if isinstance(part, tuple | list):
            return type(part)(mapped(field, each) for each in part)
        if isinstance(part, dict):
            return {key: mapped(str(key), each) for key, each in part.items()}
        return part

    return mapped("", state)


def _is_one(node: Any) -> bool:
    return is_hole(node) or is_quantized(node)


def _fits(leaf: Any, shape: tuple[int, ...] | None) -> bool:
    if is_hole(leaf) or is_quantized(leaf):  # whose codes may have another shape
        return True
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact) and jnp.shape(leaf) == shape
