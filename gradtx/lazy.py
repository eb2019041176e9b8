"""Parts of a package that are loaded when they are touched, and hints for names that it does not have."""

import importlib
import sys
from typing import Any

from gradtx import hints


def attribute(package: str, name: str, parts: tuple[str, ...]) -> Any:
    """Return a part of a package that is not loaded yet; for its `__getattr__`.

    Args:
      package: the name of the package.
      name: what is looked for and is not there.
      parts: the modules in it that are loaded when they are touched.

    Raises:
      AttributeError: it has no such name, or the part needs a library that is not installed; `hasattr` is False then.
    """
    if name in parts:
        try:
            return importlib.import_module(f"{package}.{name}")
        except ImportError as error:
            raise _error(str(error)) from error
    public = [each for each in names(package, parts) if not each.startswith("_")]
    hint = "" if name.startswith("_") else hints.nearest(name, public, otherwise="")
    raise _error(f"module {package!r} has no attribute {name!r}" + (f"; {hint}" if hint else ""))


def names(package: str, parts: tuple[str, ...]) -> list[str]:
    """Return all names of a package, those of its parts as well; for its `__dir__`."""
    return sorted({*vars(sys.modules[package]), *parts})


def _error(message: str) -> AttributeError:
    """An error to which Python's own suggestion is not added: it has an object, but not the name that was looked for."""
    return AttributeError(message, obj=sys.modules[__name__])
