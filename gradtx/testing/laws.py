"""What a law is: a check of one property, named by what it demands, kept in one list."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from gradtx.core import GradientTransformation, GradientTransformationExtraArgs, Params

ExtraArgs: TypeAlias = Mapping[str, Any] | Callable[[Params], Mapping[str, Any]] | None
"""Extra arguments that `update` requires, or a function of the parameters that makes them."""


class Law(Protocol):
    """Raise `AssertionError`, naming the law and the leaf, if the transformation breaks it."""

    __name__: str

    def __call__(self, tx: GradientTransformation, params: Params, extra_args: ExtraArgs = None) -> None: ...


LAWS: dict[str, Law] = {}
"""Every law by its name."""


def law(check: Callable[[GradientTransformation, Params], None]) -> Law:
    """Make a law of a check: it enters the list, takes extra arguments, and any exception breaks it."""

    def checked(tx: GradientTransformation, params: Params, extra_args: ExtraArgs = None) -> None:
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


def _given(tx: GradientTransformation, extra_args: ExtraArgs) -> GradientTransformation:
    """`tx` with its required extra arguments filled in, so that a law need not know of them."""
    if extra_args is None:
        return tx

    @functools.wraps(tx.update)
    def update(updates: Any, state: Any, params: Any = None, **more: Any) -> Any:
        given = extra_args(params) if callable(extra_args) else extra_args
        return tx.update(updates, state, params, **{**given, **more})

    return GradientTransformationExtraArgs(tx.init, update)
