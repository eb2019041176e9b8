"""What the signature of a function says of its arguments.

It is read off the function itself: `inspect.signature` takes longer than all else that makes a transformation.
"""

import functools
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
    if hasattr(function, "__wrapped__"):
        function = inspect.unwrap(function)
    if not isinstance(function, types.FunctionType) or hasattr(function, "__signature__"):
        return _of_other_callable(function)
    return _of_code(function.__code__, len(function.__defaults__ or ()), frozenset(function.__kwdefaults__ or ()))


@functools.lru_cache(maxsize=1024)  # closures of one factory have one code
def _of_code(code: types.CodeType, defaults: int, keyword_defaults: frozenset[str]) -> Arguments:
    several = code.co_argcount + code.co_kwonlyargcount
    positional, keyword_only = code.co_varnames[: code.co_argcount], code.co_varnames[code.co_argcount : several]
    with_default = {*positional[len(positional) - defaults :], *keyword_defaults}
    return Arguments(
        positional,
        frozenset(keyword_only),
        frozenset({*positional, *keyword_only} - with_default),
        bool(code.co_flags & inspect.CO_VARKEYWORDS),
    )


class Binder:
    """Binds calls of a function to its arguments, as `inspect.Signature.bind` does in ten times the time."""

    def __init__(self, function: Callable[..., Any], signature: inspect.Signature):
        self.function = function
        self.signature = signature
        self._arguments = arguments_of(function)
        kinds = {parameter.kind for parameter in signature.parameters.values()}
        self._all_by_keyword = kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        """Return the arguments of a call by name, in the order of the signature.

        Raises:
          TypeError: the function cannot be called with these.
        """
        names = self._arguments.positional
        if not self._all_by_keyword or len(args) > len(names):
            return self.signature.bind(*args, **kwargs)
        given = dict(zip(names, args, strict=False))
        twice = not given.keys().isdisjoint(kwargs)
        given |= kwargs
        arguments = {name: given[name] for name in self.signature.parameters if name in given}
        if twice or len(arguments) < len(given) or not self._arguments.required <= given.keys():
            return self.signature.bind(*args, **kwargs)
        return inspect.BoundArguments(self.signature, arguments)  # pyright: ignore[reportArgumentType]: any dict serves

    def call(self, bound: inspect.BoundArguments) -> Any:
        """Call the function with bound arguments."""
        if self._all_by_keyword:
            return self.function(**bound.arguments)
        return self.function(*bound.args, **bound.kwargs)


def _of_other_callable(function: Callable[..., Any]) -> Arguments:
    parameters = inspect.signature(function).parameters.values()
    return Arguments(
        tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)),
        frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY),
        frozenset(p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)),
        any(p.kind is p.VAR_KEYWORD for p in parameters),
    )
