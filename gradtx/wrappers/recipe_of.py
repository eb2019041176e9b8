"""Recipes for what is a value without being made by `@factory` alone."""

import inspect
from collections.abc import Callable
from typing import Any

from gradtx.recipe import Recipe


def recipe_of(factory: Callable[..., Any], **arguments: Any) -> Recipe:
    """Return the recipe of the call `factory(**arguments)`; arguments that are their default are left out of its `repr`."""
    signature = inspect.signature(factory)
    chosen = {name: arg for name, arg in arguments.items() if arg is not signature.parameters[name].default}
    return Recipe(factory, signature.bind(**chosen))
