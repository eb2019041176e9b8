"""The one walk: a transformation and all that it is made of, each beside its own state and the parameters that it sees."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Sharding

from gradtx.core import Description, OptState, Params, Transformation, description, supported
from gradtx.core.hyperparameters import own_hyperparameters
from gradtx.tree.holes import is_hole
from gradtx.tree.paths import leaves_with_paths
from gradtx.tree.quantized import Format
from gradtx.values import Recipe


class Parameter(NamedTuple):
    """A parameter without its values."""

    path: str
    shape: tuple[int, ...]
    dtype: Any
    sharding: Sharding | None

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclasses.dataclass(eq=False)
class Node:
    """A transformation in a composition.

    Attributes:
      tx: the transformation.
      state: its state; an array in it may be traced, or have a shape alone.
      params: the parameters that it sees, with holes instead of the others; None where nobody asks for them.
      parameters: what is known of each of these.
      label: its name in the composition, if it has one.
      labels: the names that lead to it, its own included.
      is_stored: whether its hyperparameters are in the state of a wrapper around it.
      format: how arrays in its state are quantized, if a wrapper around it does that.
    """

    tx: Transformation
    state: OptState
    params: Params | None
    parameters: Sequence[Parameter] = ()
    label: str | None = None
    labels: tuple[str, ...] = ()
    is_stored: bool = False
    format: Format | None = None

    @functools.cached_property
    def parts(self) -> tuple["Node", ...]:
        """What it wraps or chains, one level down; nothing for what is not of gradtx."""
        found = self.told.parts(self.state)
        views = [(self.params, self.parameters)] * len(found)
        if self.told.seen is not None and self.params is not None:
            views = [(view, visible(view, self.params, self.parameters)) for view in self.told.seen(self.params)]
        inherited = (self.is_stored or self.told.stores_hyperparameters, self.told.quantizes or self.format)
        return tuple(
            Node(part.tx, part.state, *view, label, (*self.labels, *([] if label is None else [label])), *inherited)
            for part, view in zip(found, views, strict=True)
            for label in [None if part.name is None else str(part.name)]
        )

    @functools.cached_property
    def told(self) -> Description:
        """What it tells of itself."""
        return description(self.tx)

    @property
    def recipe(self) -> Recipe | None:
        """How it was made; None if nobody knows."""
        return getattr(self.tx, "recipe", None)

    @functools.cached_property
    def name(self) -> str:
        """The name of its factory; if it remembers none, that of the library and of the function that its update is from."""
        if self.recipe is not None:
            return inspect.unwrap(self.recipe.factory).__name__ if self.told.name is None else self.told.name
        update = self.tx.update
        library = (getattr(update, "__module__", None) or type(update).__module__).split(".")[0]
        return f"{library}.{getattr(update, '__qualname__', type(update).__name__).split('.')[0]}"

    @functools.cached_property
    def hyperparameters(self) -> dict[str, Any]:
        """Those among the arguments of its factory."""
        return own_hyperparameters(self.recipe) if self.recipe else {}

    @functools.cached_property
    def paths(self) -> list[str]:
        """The paths of the parameters that it sees."""
        return [parameter.path for parameter in self.parameters]

    def everything(self) -> Iterator["Node"]:
        """Yield it and all that is in it, from the outside in."""
        yield self
        for part in self.parts:
            yield from part.everything()


def walk(tx: Transformation, state: OptState, params: Params | None = None, parameters: Sequence[Parameter] = ()) -> Node:
    """Return a transformation as a tree of all that it is made of; what is below a node is looked for when it is asked for.

    Args:
      tx: a transformation.
      state: its state: arrays, or anything in their places.
      params: the parameters, if it matters who sees which.
      parameters: what is known of each.
    """
    return Node(supported(tx), state, params, parameters)


def parameters_of(params: Params) -> list[Parameter]:
    """Return what is known of each parameter, in the order of the leaves."""
    return [
        Parameter(path, jnp.shape(leaf), dtype_of(leaf), getattr(leaf, "sharding", None))
        for path, leaf in leaves_with_paths(params)
    ]


def visible(view: Params, params: Params, parameters: Sequence[Parameter]) -> list[Parameter]:
    """Return those of the parameters for which there is no hole in a view of `params`."""
    positions = jax.tree.unflatten(jax.tree.structure(params), range(len(parameters)))
    seen, structure = jax.tree.flatten(view, is_leaf=is_hole)
    below = structure.flatten_up_to(positions)
    return [parameters[at] for leaf, at in zip(seen, below, strict=True) if not is_hole(leaf)]


def dtype_of(leaf: Any) -> Any:
    """Return the dtype of an array, or that of the array that a number would be."""
    return leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf)
