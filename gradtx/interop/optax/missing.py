"""What a module in Optax's layout says of a name it does not have."""

from collections.abc import Callable
from typing import Any


def missing(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module: it has the private modules of Optax's, and an error that says who lacks what."""

    def refuse(name: str) -> Any:
        if name.startswith("_"):
            from gradtx.interop.optax import private

            if private.is_module(name):
                return private
        raise AttributeError(f"gradtx has no {module}.{name}.", name=name)

    return refuse
