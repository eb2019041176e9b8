"""What the signature of a function says of its arguments.

It is read off the function itself: `inspect.signature` takes longer than all else that makes a transformation.
"""

import inspect
import types
from collections.abc import Callable
from typing import Any, NamedTuple


class Arguments(NamedTuple):
    """The arguments of a function, by their names."""

    positional: tuple[str, ...]
    keyword_only: frozenset[str]
    required: frozenset[str]  # those without a default
    any_keyword: bool  # whether it takes **others


def arguments_of(function: Callable[..., Any]) -> Arguments:
    """Return the arguments of a function, seen through `functools.wraps`."""
    function = inspect.unwrap(function)
    if not isinstance(function, types.FunctionType) or hasattr(function, "__signature__"):
        return _of_other_callable(function)
    code = function.__code__
    several = code.co_argcount + code.co_kwonlyargcount
    positional, keyword_only = code.co_varnames[: code.co_argcount], code.co_varnames[code.co_argcount : several]
    with_default = {*positional[len(positional) - len(function.__defaults__ or ()) :], *(function.__kwdefaults__ or ())}
    return Arguments(
        positional,
        frozenset(keyword_only),
        frozenset({*positional, *keyword_only} - with_default),
        bool(code.co_flags & inspect.CO_VARKEYWORDS),
    )


def _of_other_callable(function: Callable[..., Any]) -> Arguments:
    parameters = inspect.signature(function).parameters.values()
    return Arguments(
        tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)),
        frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY),
        frozenset(p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)),
        any(p.kind is p.VAR_KEYWORD for p in parameters),
    )
