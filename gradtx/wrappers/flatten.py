"""Work on all parameters as one vector."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp

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
from gradtx.tree import mismatch
from gradtx.tree.dtypes import dtype
from gradtx.tree.holes import is_hole
from gradtx.tree.layout import all_gathered, kept_like, reshard_like


@factory
def flatten(inner: Transformation) -> GradientTransformationExtraArgs:
    """Join all leaves into one vector for `inner`, and split its updates again.

    What `inner` does to an array it does to all parameters together, such as to clip their root mean square. The vector has the
    dtype that all leaves promote to, and lies in one piece: parameters that are split among devices are gathered.

    Args:
      inner: a transformation.
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> OptState:
        mismatch.check_params(params)
        return inner.init(_joined(params))

    @forwards_to(inner, changes_updates=True, states=lambda state: (state,))
    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        # A hole in the updates alone has a place in the vector that `init` made.
        with mismatch.explaining(g=updates, p=params):
            whole = updates if params is None else jax.tree.map(_in_place_of, updates, params, is_leaf=is_hole)
        vector, state = inner.update(_joined(whole), state, None if params is None else _joined(params), **extra_args)
        return jax.tree.map(lambda g, u: g if is_hole(g) else u, updates, _split(vector, whole), is_leaf=is_hole), state

    return GradientTransformationExtraArgs(init, update)


def _joined(tree: Any) -> jax.Array:
    wide = dtype(tree, "promote")
    parts = (jnp.ravel(all_gathered(leaf)).astype(wide) for leaf in jax.tree.leaves(tree))
    return jnp.concatenate([jnp.zeros(0, wide), *parts])


def _split(vector: jax.Array, like: Any) -> Any:
    leaves, structure = jax.tree.flatten(like)
    ends = [0]
    for leaf in leaves:
        ends.append(ends[-1] + leaf.size)
    parts = [vector[start:end] for start, end in itertools.pairwise(ends)]
    return structure.unflatten(_like(part, leaf) for part, leaf in zip(parts, leaves, strict=True))


def _like(part: jax.Array, leaf: jax.Array) -> jax.Array:
    part = part if jnp.iscomplexobj(leaf) else part.real
    return kept_like(leaf, reshard_like(leaf, part.reshape(leaf.shape).astype(leaf.dtype)))


def _in_place_of(g: Any, p: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, p) if is_hole(g) else g
