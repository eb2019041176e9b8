"""Which arguments of a factory are hyperparameters: its annotations say it. Of one from another library it is guessed."""

import collections.abc
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.core.protocol import Schedule
from gradtx.require import alternatives
from gradtx.rounded import Rounded
from gradtx.values import Value, is_factory

_NUMBERS = (int, float, np.generic, np.ndarray, jax.Array, Rounded)


class Argument(NamedTuple):
    """An argument of a call, and what the signature of the function says that it may be."""

    name: str
    value: Any
    annotation: Any
    default: Any
    is_foreign: bool  # whether the function is not a factory of gradtx, or says nothing

    def is_number(self) -> bool:
        """Whether it is a float or an array of floats, or an integer instead of one."""
        if not _is_numeric(self.value):
            return False
        dtype = jnp.result_type(self.value)
        if jnp.issubdtype(dtype, jnp.integer):
            return float in self._alternatives or (self.is_foreign and isinstance(self.default, float))
        return jnp.issubdtype(dtype, jnp.floating)

    def is_schedule(self) -> bool:
        """Whether it is a function instead of a number."""
        if not callable(self.value) or isinstance(self.value, type):
            return False
        if self.is_foreign:
            return self._is_like_a_schedule()
        return not {float, jax.Array}.isdisjoint(self._alternatives)

    def is_hyperparameter(self) -> bool:
        """Whether it is a number of any kind, an array of numbers, or a function of the step."""
        if _is_numeric(self.value):
            return jnp.issubdtype(jnp.result_type(self.value), jnp.number)
        return self.is_schedule() or (callable(self.value) and not self.is_foreign and Schedule in self._alternatives)

    def counts_steps(self) -> bool:
        """Whether it is a number and counts steps, by its name: as a float32 it would not be exact."""
        return self.is_number() and isinstance(self.value, int) and self.name.rpartition("_")[2] in ("steps", "begin")

    def elements(self) -> Iterator["Argument"]:
        """Yield what is in an argument that is a tuple of several things, such as `betas`."""
        annotations = typing.get_args(self.annotation) if typing.get_origin(self.annotation) is tuple else ()
        if isinstance(self.value, tuple | list) and len(self.value) == len(annotations):
            for k, (value, annotation) in enumerate(zip(self.value, annotations, strict=True)):
                yield Argument(f"{self.name}[{k}]", value, annotation, inspect.Parameter.empty, self.is_foreign)

    @property
    def _alternatives(self) -> tuple[Any, ...]:
        return alternatives(self.annotation)

    def _is_like_a_schedule(self) -> bool:
        """Whether a function looks like one of the step, from the default, the annotation and the name."""
        if self.name == "mask" or self.name.endswith(("_mask", "_fn")):
            return False
        if isinstance(self.default, float):
            return True
        if isinstance(self.default, bool | str) or inspect.isroutine(self.default):
            return False
        if _says_nothing(self.annotation):
            return True
        return any(not {float, jax.Array}.isdisjoint(alternatives(_result(each))) for each in self._alternatives)


Kind: TypeAlias = Callable[[Argument], bool]


def arguments_in(
    function: Callable[..., Any], values: Mapping[str, Any], signature: inspect.Signature | None = None
) -> list[Argument]:
    """Return the arguments of a call.

    Args:
      function: what is called.
      values: the arguments by name.
      signature: of the function, if it is known.
    """
    # Classes of values, such as `Group`, call themselves.
    is_own = is_factory(inspect.unwrap(function, stop=is_factory)) or (
        isinstance(function, type) and issubclass(function, Value)
    )
    if signature is None or any(isinstance(p.annotation, str) for p in signature.parameters.values()):
        signature = _evaluated(function)
    parameters = [(signature.parameters[name], value) for name, value in values.items()]
    return [
        Argument(p.name, value, p.annotation, p.default, not is_own or _says_nothing(p.annotation)) for p, value in parameters
    ]


def looked_at(build: Callable[..., Any], values: Mapping[str, Any]) -> list[str]:
    """Return the names of hyperparameters whose value a factory asks for, as in an `if`: a traced one has none.

    Args:
      build: calls the factory with the hyperparameters in a mapping.
      values: numbers by name.
    """
    # What is computed from a JAX array while something is traced is traced, too: with a NumPy array only `name` is.
    known = {name: np.asarray(value) if _is_concrete(value) else value for name, value in values.items()}
    return [name for name in known if not _can_be_traced(lambda value, name=name: build({**known, name: value}), known[name])]


def _evaluated(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function with its annotations evaluated, if they can be."""
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # an annotation may name anything, also what is imported for the type checker alone
        return inspect.signature(function)


def _is_numeric(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _says_nothing(annotation: Any) -> bool:
    return annotation is inspect.Parameter.empty or annotation is Any or isinstance(annotation, str)


def _result(annotation: Any) -> Any:
    """What a function of one argument with this annotation returns, nothing of one of several; else, the annotation."""
    if typing.get_origin(annotation) is not collections.abc.Callable:
        return annotation
    takes, returns = typing.get_args(annotation)
    return None if isinstance(takes, list) and len(takes) > 1 else returns


def _is_concrete(value: Any) -> bool:
    return isinstance(value, jax.Array) and not isinstance(value, Tracer)


def _can_be_traced(build: Callable[[Any], Any], value: Any) -> bool:
    def probe(value: jax.Array) -> None:
        build(value)

    try:
        jax.eval_shape(probe, value)
    except (
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerArrayConversionError,
        jax.errors.TracerIntegerConversionError,
    ):
        return False
    return True
