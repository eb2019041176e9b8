"""Bystanders: what a tree of parameters has besides its parameters, as a model of Equinox has functions, words and flags.

The gradient has a hole in their place. Transformations need not know of them: they are taken out before an update, and a
function of the parameters, such as `value_fn`, gets them back.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.core.protocol import Params, Updates
from gradtx.tree.holes import is_hole
from gradtx.tree.masks import is_function

_ARRAYS = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct)


def without_bystanders(updates: Updates, params: Params, extra_args: dict[str, Any]) -> tuple[Params, dict[str, Any]]:
    """Return `params` with `None` for its bystanders, and the extra arguments with functions that get them back.

    Args:
      updates: a tree with a hole for each bystander.
      params: if all its leaves are arrays, it is returned as it is.
      extra_args: of `update`.
    """
    if all(isinstance(leaf, _ARRAYS) for leaf in {type(leaf): leaf for leaf in jax.tree.leaves(params)}.values()):
        return params, extra_args
    leaves, structure = jax.tree.flatten(params)
    try:
        in_hole = jax.tree.leaves(jax.tree.map(_in_hole, updates, params, is_leaf=is_hole))
    except ValueError:  # the trees do not match: who needs both says so
        return params, extra_args
    standing = [hole and not _may_be_trained(leaf) for leaf, hole in zip(leaves, in_hole, strict=True)]
    bystanders = [leaf if stands else None for leaf, stands in zip(leaves, standing, strict=True)]
    own = structure.unflatten([None if stands else leaf for leaf, stands in zip(leaves, standing, strict=True)])
    given_back = functools.partial(_OfTheWhole, bystanders, structure, jax.tree.structure(own))
    functions = {name: given_back(arg) for name, arg in extra_args.items() if _takes_params(arg)}
    return own, {**extra_args, **functions}


def _takes_params(arg: Any) -> bool:
    return is_function(arg) or isinstance(arg, _OfTheWhole)


def _in_hole(update: Any, param: Any) -> Any:
    return jax.tree.map(lambda _: is_hole(update), param)


def _may_be_trained(leaf: Any) -> bool:
    return isinstance(leaf, _ARRAYS) and jnp.issubdtype(leaf.dtype, jnp.inexact)


class _OfTheWhole:
    """A function of the whole as one of parameters without bystanders; a tree, so that `jit` sees what it is made of."""

    def __init__(self, bystanders: Sequence[Any], whole: Any, own: Any, function: Callable[..., Any]):
        self.bystanders = list(bystanders)
        self.structures = whole, own
        self.function = self.__wrapped__ = function  # whose signature it has

    def __call__(self, params: Params, *args: Any, **kwargs: Any) -> Any:
        whole, own = self.structures
        if jax.tree.structure(params) != own:
            return self.function(params, *args, **kwargs)
        own_leaves = iter(jax.tree.leaves(params))
        leaves = [next(own_leaves) if bystander is None else bystander for bystander in self.bystanders]
        return self.function(whole.unflatten(leaves), *args, **kwargs)


jax.tree_util.register_pytree_node(
    _OfTheWhole,
    lambda node: ((node.bystanders, node.function), node.structures),
    lambda structures, children: _OfTheWhole(children[0], *structures, children[1]),
)
