"""Errors that begin with the name of who is meant.

What serves many (a rule, a mask, the check of a number) raises errors without a name, and who has called gives it: the function
itself; while a transformation is built, the outermost factory; in `init` and `update`, the innermost transformation.
"""

import contextlib
import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


_BETWEEN = frozenset({"contextlib", "gradtx", "jax"})  # whose frames may stand between a program and what warns it


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the line of the user's program that has called the library: Python shows warnings by their place."""
    depth, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, category, stacklevel=depth)


def unnamed(kind: type[Exception], message: str) -> Exception:
    """Return an error to which those that it leaves give a name: `owner: message`."""
    error = kind(message)
    vars(error)["said"] = message
    return error


def name(owner: str, error: Exception) -> None:
    """Put a name before what `unnamed` was told, another's too, unless that was given for good."""
    if hasattr(error, "said") and not hasattr(error, "settled"):
        error.args = (f"{owner}: {vars(error)['said']}",)


def settle(owner: str, error: Exception) -> bool:
    """Give an error its name for good; return False if that was done before, as by a transformation further in."""
    if hasattr(error, "settled"):
        return False
    name(owner, error)
    vars(error)["settled"] = True
    return True


@contextlib.contextmanager
def naming(owner: str) -> Iterator[None]:
    """Give a name to the errors within: for what builds a transformation out of others."""
    try:
        yield
    except Exception as error:
        name(owner, error)
        raise


def names_errors(function: _F) -> _F:
    """Let errors without a name begin with that of this function, for good."""
    return _naming(function, settle)


def names_errors_when_alone(function: _F) -> _F:
    """Let errors without a name begin with that of this function, until a transformation that calls it gives them its own."""
    return _naming(function, name)


def _naming(function: _F, give: Callable[[str, Exception], Any]) -> _F:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if hasattr(error, "said") and error.args == (vars(error)["said"],):
                give(function.__name__, error)
            raise

    return call  # pyright: ignore[reportReturnType]
