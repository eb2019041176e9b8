"""Schedules and optimizers by the name that a command is given, and calls of them with arguments written `name=value`."""

import ast
import difflib
import importlib
import inspect
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeAlias

import gradtx
from gradtx import GradientTransformation, Schedule, hints, schedules
from gradtx.cli.arguments import CommandError
from gradtx.core import Function

Factory: TypeAlias = Callable[..., Any]

Word: TypeAlias = str | tuple[str, Any]
"""The name of a factory, or an argument of the one named before it."""

# Whose recipes `gradtx.interop` has; their names are written with a dot, as in keras.adamw.
LIBRARIES = ("torch", "keras", "transformers")


def known_schedules() -> dict[str, Factory]:
    """Return the factories of schedules that can be called with what is written on a command line, by name."""
    return {name: made for name, made in _factories(schedules) if _makes_schedule(made) and not _needs_functions(made)}


def known_optimizers() -> dict[str, Factory]:
    """Return the factories of optimizers, by name."""
    return {name: made for name, made in _factories(gradtx) if _makes_optimizer(made)}


def named(kind: str, name: str, known: Mapping[str, Factory]) -> Factory:
    """Return the factory of a name, or raise `CommandError` with the names that contain it, or are close to it."""
    if name in known:
        return known[name]
    containing = [candidate for candidate in known if len(name) > 1 and name.lower() in candidate.lower()]
    close = containing or hints.meant(name, known) or difflib.get_close_matches(name, known, n=3)
    choice = " or ".join([", ".join(close[:-1]), close[-1]] if close[1:] else close)
    hint = f"did you mean {choice}?" if close else f"known are {', '.join(known)}"
    raise CommandError(f"unknown {kind} {name!r}; {hint}")


def assignment(text: str) -> tuple[str, Any]:
    """Parse `name=value`: a number, True, False (true and false, too), None, a list or a dict as in Python, or else a word."""
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise ArgumentTypeError(f"must be written name=value, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, {"true": True, "false": False}.get(value.lower(), value)


def word(text: str) -> Word:
    """Parse a name, with dots or without, or else `name=value`."""
    return text if all(part.isidentifier() for part in text.split(".")) else assignment(text)


def calls_in(kind: str, words: Sequence[Word]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Return the names among the words, each with the arguments after it."""
    calls: list[tuple[str, list[tuple[str, Any]]]] = []
    for each in words:
        if isinstance(each, str):
            calls.append((each, []))
        elif calls:
            calls[-1][1].append(each)
        else:
            raise CommandError(f"the name of {kind} comes before its arguments, got {each[0]}={each[1]!r} first")
    return calls


def call(name: str, factory: Factory, assignments: Sequence[tuple[str, Any]]) -> Any:
    """Return what a factory makes of the arguments; what it cannot be called with is a `CommandError`."""
    parameters = inspect.signature(factory).parameters
    arguments = dict(assignments)
    for argument in arguments:
        if argument not in parameters:
            close = hints.meant(argument, parameters)
            hint = f"did you mean {' and '.join(close)}?" if close else f"it takes {', '.join(parameters)}"
            raise CommandError(f"{name} has no argument {argument!r}; {hint}")
    missing = [p.name for p in parameters.values() if p.default is p.empty and p.name not in arguments]
    if missing:
        raise CommandError(f"{name} needs {' and '.join(missing)}: write {' '.join(f'{word}=...' for word in missing)}")
    try:
        return factory(**arguments)
    except (TypeError, ValueError) as error:
        raise CommandError(" ".join(str(error).split())) from error


def written(name: str, assignments: Sequence[tuple[str, Any]]) -> str:
    """Return the call as one writes it in Python."""
    return f"{name}({', '.join(f'{argument}={value!r}' for argument, value in assignments)})"


def _factories(own: ModuleType) -> list[tuple[str, Factory]]:
    """The functions of a module of gradtx, then those of the other libraries' recipes."""
    found = [(name, made) for name, made in vars(own).items() if inspect.isfunction(made)]
    for library in LIBRARIES:
        recipes = vars(importlib.import_module(f"gradtx.interop.{library}"))
        found += [(f"{library}.{name}", made) for name, made in recipes.items() if inspect.isfunction(made)]
    return found


def _makes_schedule(factory: Factory) -> bool:
    made = inspect.signature(factory).return_annotation
    return made == Schedule or _is_subclass(made, Function)


def _needs_functions(factory: Factory) -> bool:
    """Whether it must be called with functions or with other schedules."""
    parameters = inspect.signature(factory).parameters.values()
    annotations = (str(p.annotation) for p in parameters if p.default is p.empty)
    return any(
        "Callable" in annotation or ("Schedule" in annotation and "float" not in annotation) for annotation in annotations
    )


def _makes_optimizer(factory: Factory) -> bool:
    """Whether it returns a transformation and has a home among the optimizers, or at least a learning rate."""
    signature = inspect.signature(factory)
    if not _is_subclass(signature.return_annotation, GradientTransformation):
        return False
    if factory.__module__.startswith("gradtx.interop"):
        return not {"lr", "learning_rate"}.isdisjoint(signature.parameters)
    return factory.__module__.startswith("gradtx.optimizers") and not factory.__name__.startswith("scale_by")


def _is_subclass(annotation: Any, kind: type) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, kind)
