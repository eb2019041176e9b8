"""What a law is: a check of one property, named by what it demands, kept in one list."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import jax

from gradtx.core import GradientTransformationExtraArgs, Params, Transformation

ExtraArgs: TypeAlias = Mapping[str, Any] | Callable[[Params], Mapping[str, Any]] | None
"""Extra arguments that `update` requires, or a function of the parameters that makes them."""


class Law(Protocol):
    """Raise `AssertionError`, naming the law and the leaf, if the transformation breaks it."""

    __name__: str

    def __call__(self, tx: Transformation, params: Params, extra_args: ExtraArgs = None) -> None: ...


LAWS: dict[str, Law] = {}
"""Every law by its name."""


def law(check: Callable[[Transformation, Params], None]) -> Law:
    """Make a law of a check: it enters the list, takes extra arguments, and any exception breaks it."""

    def checked(tx: Transformation, params: Params, extra_args: ExtraArgs = None) -> None:
        try:
            check(_given(tx, extra_args), params)
        except AssertionError as error:
            raise AssertionError(f"{check.__name__}: {error}") from error
        except Exception as error:
            raise AssertionError(f"{check.__name__}: {type(error).__name__}: {error}") from error

    checked.__name__ = checked.__qualname__ = check.__name__
    checked.__module__, checked.__doc__ = check.__module__, check.__doc__
    LAWS[check.__name__] = checked
    return checked


def _given(tx: Transformation, extra_args: ExtraArgs) -> Transformation:
    """`tx` with its required extra arguments filled in, so that a law need not know of them."""
    if extra_args is None:
        return tx

    @functools.wraps(tx.update)
    def update(updates: Any, state: Any, params: Any = None, **more: Any) -> Any:
        given = extra_args(_arrays_in(params)) if callable(extra_args) else extra_args
        given = {name: _of_arrays(arg, params) if callable(arg) else arg for name, arg in given.items()}
        return tx.update(updates, state, params, **{**given, **more})

    return GradientTransformationExtraArgs(tx.init, update)


def _of_arrays(function: Callable[..., Any], params: Params) -> Callable[..., Any]:
    """A function of arrays as one of all parameters: if there is something else among them, it must be given that, too."""
    if _arrays_in(params) is params:
        return function

    @functools.wraps(function)
    def of_all(whole: Params, *args: Any, **kwargs: Any) -> Any:
        assert jax.tree.structure(whole) == jax.tree.structure(params), f"{function.__name__} was not given all parameters"
        return function(_arrays_in(whole), *args, **kwargs)

    return of_all


def _arrays_in(params: Params) -> Params:
    """The tree with None for what is not an array; the very same if it has nothing else."""
    arrays = jax.tree.map(lambda leaf: leaf if hasattr(leaf, "dtype") else None, params)
    return params if jax.tree.structure(arrays) == jax.tree.structure(params) else arrays
