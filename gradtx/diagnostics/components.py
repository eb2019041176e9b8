"""The composition, each part with its arguments."""

import inspect
from typing import Any

import jax

from gradtx.composition.parts import holds_hyperparameters
from gradtx.composition.settings import settings
from gradtx.core import is_transformation
from gradtx.diagnostics.data import Component
from gradtx.diagnostics.walk import Node
from gradtx.recipe import shown


def component(node: Node) -> Component:
    """Return a transformation and what it is made of, as data."""
    return Component(node.name, node.label, _arguments(node), tuple(map(component, node.parts)))


def _arguments(node: Node) -> dict[str, Any]:
    """The hyperparameters, unless a wrapper has them, and what else is not the default."""
    if node.recipe is None:
        return {}
    parameters = inspect.signature(node.recipe.factory).parameters
    others = {
        name: value
        for name, value in node.recipe.arguments.items()
        if name not in node.settings and shown(value) != shown(parameters[name].default) and not _has_transformations(value)
    }
    return {**_hyperparameters(node), **others}


def _hyperparameters(node: Node) -> dict[str, Any]:
    """Its own; those of all that is inside, by path, if it keeps them in its state; none if a wrapper around it does."""
    if node.held:
        return {}
    return settings(node.tx) if holds_hyperparameters(node.tx) else node.settings


def _has_transformations(argument: Any) -> bool:
    return any(map(is_transformation, jax.tree.leaves(argument, is_leaf=is_transformation)))
