"""A composition with, at each part, its own state and the parameters that it sees."""

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

from gradtx.composition.parts import holds_hyperparameters, parts
from gradtx.composition.settings import own_settings
from gradtx.core import OptState, Params, Transformation, description, supported
from gradtx.recipe import Recipe
from gradtx.tree.holes import is_hole
from gradtx.tree.paths import leaves_with_paths
from gradtx.wrappers.inject_hyperparams import InjectedFactory


class Node(NamedTuple):
    """A transformation in a composition.

    Its `label` is the name it has there, if any, and `labels` are those that lead to it, its own included. It is `held` if its
    hyperparameters are in the state of a wrapper around it.
    """

    tx: Transformation
    state: OptState
    params: Params
    label: str | None
    labels: tuple[str, ...]
    held: bool
    parts: tuple["Node", ...]

    @property
    def recipe(self) -> Recipe | None:
        """How it was made; None if nobody knows."""
        return getattr(self.tx, "recipe", None)

    @property
    def name(self) -> str:
        """The name of its factory; if it remembers none, that of the library and of the function that its update is from."""
        if self.recipe is None:
            update = self.tx.update
            library = (getattr(update, "__module__", None) or type(update).__module__).split(".")[0]
            return f"{library}.{getattr(update, '__qualname__', type(update).__name__).split('.')[0]}"
        made_by = self.recipe.factory
        return made_by.__name__ if isinstance(made_by, InjectedFactory) else inspect.unwrap(made_by).__name__

    @property
    def settings(self) -> dict[str, Any]:
        """Its own hyperparameters."""
        return dict(own_settings(self.recipe)) if self.recipe else {}

    @property
    def paths(self) -> list[str]:
        """The paths of the parameters that it sees."""
        return [path for path, leaf in leaves_with_paths(self.params) if not is_hole(leaf)]

    def everything(self) -> Iterator["Node"]:
        """Yield it and all that is in it, from the outside in."""
        yield self
        for part in self.parts:
            yield from part.everything()


def walked(
    tx: Transformation,
    state: OptState,
    params: Params,
    label: str | None = None,
    above: tuple[str, ...] = (),
    held: bool = False,
) -> Node:
    """Return a transformation as a tree of all that it is made of.

    Args:
      tx: a transformation.
      state: its state, traced: what keeps hyperparameters in it makes its part of them.
      params: the parameters that it sees.
      label: its name in the composition.
      above: the labels that lead to the composition.
      held: whether its hyperparameters are in a state above.
    """
    tx = supported(tx)
    labels = above if label is None else (*above, label)
    found = parts(tx, state)
    seen = description(tx).seen
    params_of_parts = [params] * len(found) if seen is None else seen(params)
    held_below = held or holds_hyperparameters(tx)
    inner = tuple(
        walked(part.tx, part.state, own, None if part.name is None else str(part.name), labels, held_below)
        for part, own in zip(found, params_of_parts, strict=True)
    )
    return Node(tx, state, params, label, labels, held, inner)
