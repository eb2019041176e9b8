"""Which functions a config may name: public ones of gradtx, and those that the caller gives.

Nothing is imported because data name it.
"""

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from gradtx import hints
from gradtx.configuration.words import WORDS
from gradtx.values import Value, is_factory

FUNCTION, CALL = "function", "call"
"""Words of a config: a function that is an argument itself; the call of one that a call has made."""
RESERVED = frozenset({*WORDS, FUNCTION, CALL})

# Modules whose public functions a config names with a dot, as in interop.torch.adamw; the first has those without.
_MODULES = ("", "interop.keras", "interop.torch", "interop.transformers", "losses", "projections", "recipes", "tree")
_PROTOCOL = ("GradientTransformation", "GradientTransformationExtraArgs")


class Names:
    """The public functions of gradtx by name, and those of the caller."""

    def __init__(self, known: Mapping[str, Any]):
        for name in known:
            if name in RESERVED or _of_gradtx(name) is not None:
                raise ValueError(f"known: {name!r} has a meaning in a config already; give yours another name.")
        self._known = known

    def find(self, name: str) -> Any:
        """Return the function of a name, or None."""
        return self._known[name] if name in self._known else _of_gradtx(name)

    def find_callable(self, name: str) -> Any:
        """Return the function that a config may call by a name, or None: what makes transformations, schedules, masks."""
        found = self.find(name)
        makes_values = is_factory(found) or _is_value_class(found) or _is_recipe(name, found)
        return found if name in self._known or (makes_values and name not in _PROTOCOL) else None

    def name_of(self, thing: Any) -> str | None:
        """Return the name of a function or a class, or None if it has none."""
        for name, known in self._known.items():
            if known is thing:
                return name
        word = getattr(thing, "__name__", None)
        if not isinstance(word, str) or not _is_public(word, thing):
            return None
        names = [_full(module, word) for module in _MODULES if _module(module) in sys.modules]  # where it comes from is loaded
        return next((name for name in names if _of_gradtx(name) is thing), None)

    def hint(self, name: str) -> str:
        """Return what may have been meant by a name that no function has."""
        return hints.nearest(name, list(self._callable()), otherwise="a dict of one key is written {'dict': {...}}.")

    def _callable(self) -> Iterator[str]:
        yield from self._known
        yield from RESERVED
        for module in _MODULES:
            full_names = [_full(module, name) for name in vars(importlib.import_module(_module(module)))]
            yield from (name for name in full_names if self.find_callable(name) is not None)


def _of_gradtx(name: str) -> Any:
    """The public function or class of gradtx that has a name, or None."""
    module, _, last = name.rpartition(".")
    if module not in _MODULES:
        return None
    thing = vars(importlib.import_module(_module(module))).get(last)
    return thing if _is_public(last, thing) else None


def _is_public(name: str, thing: Any) -> bool:
    from_gradtx = (getattr(thing, "__module__", None) or "").startswith("gradtx.")
    return from_gradtx and not name.startswith("_") and (inspect.isfunction(thing) or inspect.isclass(thing))


def _is_value_class(thing: Any) -> bool:
    """Whether it is a class of values, such as `Group`, or of plain tuples with names."""
    return isinstance(thing, type) and (issubclass(thing, Value) or hasattr(thing, "_fields"))


def _is_recipe(name: str, thing: Any) -> bool:
    return name.startswith("recipes.") and inspect.isfunction(thing) and "learning_rate" in inspect.signature(thing).parameters


def _module(module: str) -> str:
    return f"gradtx.{module}".rstrip(".")


def _full(module: str, name: str) -> str:
    return f"{module}.{name}".lstrip(".")
