"""`optax._src` itself: in it `lookahead` is a module, which holds a function of that name."""

from typing import Any

from gradtx.interop.optax import private

# The import system looks for `optax._src.base` only in what has a path.
__path__: list[str] = []


def __getattr__(name: str) -> Any:
    return private if private.is_module(name) else getattr(private, name)
