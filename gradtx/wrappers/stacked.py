"""A transformation that sees the layers of a stack one by one (as models that scan over their layers have them)."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import keystr

from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    with_extra_args_support,
)
from gradtx.errors import unnamed
from gradtx.tree.masks import Mask, check_mask, evaluate_mask
from gradtx.tree.scopes import Place, placed


@factory
def stacked(inner: Transformation, where: Mask | None = None, axis: int = 0) -> GradientTransformationExtraArgs:
    """Let `inner` see each layer of stacked parameters as a parameter of its own.

        tx = stacked(muon(1e-3), where={"blocks": True, "embedding": False})

    A model that scans over its layers keeps the weights of all of them in one array. To a transformation that treats each
    parameter by itself that is one large parameter: Muon takes a stack of biases for a matrix, LAMB has one norm for all
    layers. Inside of this each layer has its own norms, factors, matrices and random numbers; counters stay one number, global
    norms are of all layers and all other parameters, and masks by rank or shape are asked about a layer. Stacks may differ in
    length.

    In the state, what `inner` keeps for each parameter has the layers along its first axis.

    Args:
      inner: a transformation.
      where: which parameters are stacked, a tree of bools or a function that returns one, as for `masked`; by default all.
      axis: the one that counts layers, the same in all stacked parameters.

    Raises:
      TypeError: `where` is no such tree.
      ValueError: `where` does not match the parameters, or a parameter has no such axis.
    """
    inner = with_extra_args_support(inner)
    if where is not None:
        check_mask(where, "where")

    def init(params: Params) -> OptState:
        chosen = is_stack(params)
        with placed(chosen, _layered):
            return inner.init(_moved(chosen, params, axis, 0))

    @forwards_to(inner, states=lambda state: (state,))
    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        chosen = is_stack(updates)
        like = jax.tree.structure(updates)

        def seen(arg: Any) -> Any:
            return _moved(chosen, arg, axis, 0) if jax.tree.structure(arg) == like else arg

        extra_args = {name: seen(arg) for name, arg in extra_args.items()}
        with placed(chosen, _layered):
            updates, state = inner.update(seen(updates), state, seen(params), **extra_args)
        return _moved(chosen, updates, 0, axis), state

    def is_stack(tree: Any) -> Any:
        chosen = True if where is None else evaluate_mask(where, tree, "where")
        chosen = jax.tree.map(lambda each, part: jax.tree.map(lambda _: each, part), chosen, tree)
        rows = zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(chosen), strict=True)
        for (path, leaf), each in rows:
            if each and not -jnp.ndim(leaf) <= axis < jnp.ndim(leaf):
                raise unnamed(
                    ValueError, f"params{keystr(path)} has the shape {jnp.shape(leaf)}: no axis {axis} counts layers."
                )
        return chosen

    return GradientTransformationExtraArgs(init, update)


def _moved(chosen: Any, tree: Any, source: int, target: int) -> Any:
    """A tree with an axis of the chosen leaves at another place."""
    if source == target:
        return tree
    return jax.tree.map(lambda stack, x: jnp.moveaxis(x, source, target) if stack else x, chosen, tree)


def _layered(place: Place, is_stack: bool) -> Place:
    return place._replace(layers=True) if is_stack else place
