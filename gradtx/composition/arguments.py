"""Which arguments of a factory are hyperparameters: told by what they are, and by what the signature says they may be."""

import collections.abc
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.require import alternatives

# Their annotations are those of functions of anything.
_FUNCTIONS_OF_THE_STEP = frozenset({"step_size_fn", "every_k_schedule"})


def signature_of(factory: Callable[..., Any]) -> inspect.Signature:
    """The signature with its annotations evaluated, if they can be."""
    try:
        return inspect.signature(factory, eval_str=True)
    except Exception:  # an annotation may name anything, also what is imported for the type checker alone
        return inspect.signature(factory)


def is_number(value: Any, parameter: inspect.Parameter) -> bool:
    """Whether the argument is a float or an array of floats, or an integer in the place of one."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.generic | np.ndarray | jax.Array):
        return False
    dtype = jnp.result_type(value)
    if jnp.issubdtype(dtype, jnp.integer):
        return isinstance(parameter.default, float) or float in alternatives(parameter.annotation)
    return jnp.issubdtype(dtype, jnp.floating)


def is_schedule(value: Any, parameter: inspect.Parameter) -> bool:
    """Whether the argument is a function in the place of a number."""
    if not callable(value) or isinstance(value, type) or parameter.name == "mask" or parameter.name.endswith(("_mask", "_fn")):
        return False
    annotation, default = parameter.annotation, parameter.default
    if isinstance(default, float):
        return True
    if isinstance(default, bool | str) or inspect.isroutine(default):
        return False
    if annotation is parameter.empty or annotation is Any or isinstance(annotation, str):
        return True
    return any(_is_numeric(_result(alternative)) for alternative in alternatives(annotation))


def is_hyperparameter(value: Any, parameter: inspect.Parameter) -> bool:
    """Whether the argument is a number of any kind, an array of numbers, or a schedule."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float | np.generic | np.ndarray | jax.Array):
        return jnp.issubdtype(jnp.result_type(value), jnp.number)
    return is_schedule(value, parameter) or (callable(value) and parameter.name in _FUNCTIONS_OF_THE_STEP)


def elements(value: Any, parameter: inspect.Parameter) -> list[tuple[Any, inspect.Parameter]]:
    """Return what is in an argument that is a tuple of several things, such as `betas`, each with what it may be."""
    annotations = typing.get_args(parameter.annotation) if typing.get_origin(parameter.annotation) is tuple else ()
    if not isinstance(value, tuple | list) or len(value) != len(annotations):
        return []
    empty = parameter.replace(default=parameter.empty)
    return [(item, empty.replace(annotation=each)) for item, each in zip(value, annotations, strict=True)]


def looked_at(build: Callable[..., Any], values: Mapping[str, Any]) -> list[str]:
    """Return the names of hyperparameters whose value a factory asks for, as in an `if`: a traced one has none.

    Args:
      build: calls the factory with the hyperparameters in a mapping.
      values: numbers by name.
    """
    # What is computed from a JAX array while something is traced is traced, too: with a NumPy array only `name` is.
    known = {name: np.asarray(value) if _is_concrete(value) else value for name, value in values.items()}
    return [name for name in known if not _can_be_traced(lambda value, name=name: build({**known, name: value}), known[name])]


def _result(annotation: Any) -> Any:
    """What a function of one argument with this annotation returns, nothing of one of several; else, the annotation."""
    if typing.get_origin(annotation) is not collections.abc.Callable:
        return annotation
    takes, returns = typing.get_args(annotation)
    return None if isinstance(takes, list) and len(takes) > 1 else returns


def _is_numeric(annotation: Any) -> bool:
    return not {float, jax.Array}.isdisjoint(alternatives(annotation))


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
