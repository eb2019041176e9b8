"""The contract of a function's arguments: read from its signature once, kept whenever it is called.

Annotations say of what kind an argument is, the word it is called the range of a number (`gradtx.require`). What an annotation
leaves open (`Any`, a class of the user's) is not checked. What is not kept to is an error that names the function, the argument
and what it may be.
"""

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

from gradtx import errors, hints, require
from gradtx.core.description import is_transformation, not_a_transformation
from gradtx.core.kinds import REFUSED, Kind, is_numeric, kind_of
from gradtx.core.protocol import ScalarOrSchedule
from gradtx.errors import unnamed
from gradtx.signatures import Binder
from gradtx.tree.masks import check_mask
from gradtx.tree.matrices import check_numbers
from gradtx.values import is_factory

_P = ParamSpec("_P")
_R = TypeVar("_R")

_INT32 = 2**31 - 1  # what JAX counts up to


class Term(NamedTuple):
    """What one argument may be."""

    kind: Kind | None
    numbers: require.Range
    default: Any
    several: bool  # whether it is *args
    optional: bool  # whether it may be None
    check: Callable[[Any, str], None] | None  # for a tree, by the word that it is called


class Contract:
    """What the arguments of a function may be."""

    def __init__(
        self,
        owner: str,
        signature: inspect.Signature,
        ranges: Mapping[str, require.Range] | None = None,
        *,
        steerable: bool = False,
    ):
        """Read a signature.

        Args:
          owner: the function, for the errors.
          signature: its signature.
          ranges: the numbers that an argument may be, where the table of `gradtx.require` does not say so.
          steerable: whether it makes transformations, of which each number can be made to follow a schedule.
        """
        self.owner = owner
        self.steerable = steerable
        self.terms: dict[str, Term] = {}
        for name, parameter in signature.parameters.items():
            kind = kind_of(parameter.annotation)
            numbers = {**require.RANGES, **(ranges or {})}.get(name)
            check = _check_of_tree(name)
            if kind or numbers or check:
                optional = types.NoneType in require.alternatives(parameter.annotation)
                several = parameter.kind is parameter.VAR_POSITIONAL
                self.terms[name] = Term(kind, numbers or require.Range(), parameter.default, several, optional, check)
        needed = [term.kind for term in self.terms.values() if term.kind and term.default is inspect.Parameter.empty]
        self.wraps = any("a gradient transformation" in kind.words for kind in needed)
        """Whether the function cannot be called without a transformation."""

    def keep(self, arguments: dict[str, Any]) -> None:
        """Put each argument as it is used instead of what was given, or raise if it is not what it may be.

        Raises:
          TypeError: an argument is of another kind.
          ValueError: a number is out of its range, or a word is none of those that are known.
        """
        try:
            for name, value in arguments.items():
                term = self.terms.get(name)
                if term is None or value is term.default or (value is None and term.optional):
                    continue
                if term.several:
                    arguments[name] = tuple(self._used(f"{name}[{k}]", each, term) for k, each in enumerate(value or ()))
                else:
                    arguments[name] = self._used(name, value, term)
        except Exception as error:
            errors.settle(self.owner, error)  # a factory around this one may call its arguments by other names
            raise

    def _used(self, name: str, value: Any, term: Term) -> Any:
        used = term.kind.read(value) if term.kind else value
        if used is REFUSED and term.kind:
            raise self._refusal(name, value, term.kind)
        if term.check and value is None:
            raise unnamed(TypeError, f"{name} must be a tree or a function that makes one, got None.")
        if term.check:
            term.check(value, name)
        self._check_range(name, used, term.kind, term.numbers)
        return used

    def _check_range(self, name: str, value: Any, kind: Kind | None, numbers: require.Range) -> None:
        require.in_range(name, value, numbers)
        if isinstance(value, int) and abs(value) > _INT32 and numbers.high > _INT32 and kind and "an integer" in kind.words:
            raise unnamed(ValueError, f"{name} must fit into an int32, got {require.shortened(value)}.")
        for key, part, part_kind in kind.parts(value) if kind else ():
            self._check_range(f"{name}[{key!r}]", part, part_kind, numbers)

    def _refusal(self, name: str, value: Any, kind: Kind) -> Exception:
        for key, part, part_kind in kind.parts(value):
            if part_kind and part_kind.read(part) is REFUSED:
                return self._refusal(f"{name}[{key!r}]", part, part_kind)
        one_of_some_words = any(word.startswith('"') for word in kind.words)
        error = ValueError if isinstance(value, str) and one_of_some_words else TypeError
        return unnamed(error, f"{name} must be {kind}, got {self._got(name, value, kind.words)}")

    def _got(self, name: str, value: Any, words: list[str]) -> str:
        """What was given, and what to write instead."""
        if is_factory(value):
            return f"{value.__name__} itself; call it: {value.__name__}(...)."
        if "a gradient transformation" in words:
            return f"{not_a_transformation(value)}."
        if callable(value) and not isinstance(value, type):
            steerable = self.steerable and "a number" in words
            return f"a function, {named(value)}.{_HOW_TO_STEER.format(owner=self.owner, name=name) if steerable else ''}"
        if "a function" in words and is_transformation(value) and hasattr(value, "recipe"):
            return f"{value!r}, which is made already; what makes it is {value.recipe.name}."
        if "a dtype" in words and isinstance(value, str):
            return f"{value!r}; write one such as jnp.bfloat16 or 'bfloat16'."
        if "a function" in words and ("schedule" in name or "step" in name) and isinstance(value, int | float):
            return f"{value!r}; for a number write constant_schedule({value!r})."
        if getattr(value, "shape", ()):
            several = "; jax.vmap tries several" if "a number" in words else ""
            return f"an array of shape {value.shape}{several}."
        return f"{require.shortened(value)}."


def keeps_contract(**ranges: require.Range) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Let a function that is no factory keep to the contract of its arguments.

    Args:
      **ranges: for an argument, the numbers it may be.
    """

    def mark(function: Callable[_P, _R]) -> Callable[_P, _R]:
        binder = Binder(function, inspect.signature(function))
        contract = Contract(function.__name__, binder.signature, ranges)

        @functools.wraps(function)
        def kept(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            bound = bound_arguments(binder, args, kwargs)
            contract.keep(bound.arguments)
            return binder.call(bound)

        return kept

    return mark


def bound_arguments(binder: Binder, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
    """Return the arguments of a call by name, or raise an error that names the function and what is likely meant."""
    try:
        return binder.bind(args, kwargs)
    except TypeError:
        hints.refuse_unknown_keywords(binder.function.__name__, binder.signature.parameters, kwargs)
        binder.function(*args, **kwargs)  # raises Python's own message, which names the function
        raise


def at_step(hyperparameter: ScalarOrSchedule, count: Any) -> Any:
    """Return what a hyperparameter is at a step: the number, or what the schedule says.

    Raises:
      TypeError: the schedule returned something else than a number.
      ValueError: it returned an array with axes that the count does not have: a rate for each column, say.
    """
    if not callable(hyperparameter):
        return hyperparameter
    value = hyperparameter(count)
    if not is_numeric(value):
        got = require.shortened(value)
        raise unnamed(TypeError, f"a schedule returns a number for a step, but {named(hyperparameter)} returned {got}.")
    if np.shape(value) not in ((), np.shape(count)):
        got = f"an array of shape {np.shape(value)}"
        message = f"a schedule returns a number for a step, but {named(hyperparameter)} returned {got}."
        raise unnamed(ValueError, message)
    return value


def named(function: Any) -> str:
    """Return how a schedule is called: by the call that made it, or by its name."""
    return repr(function) if getattr(function, "recipe", None) else getattr(function, "__name__", repr(function))


def _check_of_tree(name: str) -> Callable[[Any, str], None] | None:
    """What a tree of this name is checked by, which its annotation (`Any`) does not tell."""
    return next((check for word, check in _TREES.items() if name == word or name.endswith(f"_{word}")), None)


_TREES = {"mask": check_mask, "dimension_numbers": check_numbers, "labels": lambda labels, word: None}

_HOW_TO_STEER = (
    ' To let it follow a schedule write adjustable({owner}(...), {{"{owner}.{name}": schedule}})'
    " or inject_hyperparams({owner})(..., {name}=schedule)."
)
