"""The words of the protocol: the pair, what it works on, and the state of those that keep none."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeAlias

import jax

from gradtx.values import Value

Params: TypeAlias = Any
"""A tree of arrays: what is optimized."""
Updates: TypeAlias = Params
"""A tree like the parameters: gradients on their way to become steps."""
OptState: TypeAlias = Any
"""A tree of NamedTuples, tuples, dicts and arrays."""


class Schedule(Protocol):
    """A function of the step count (an int32 scalar, 0 at the first step)."""

    def __call__(self, count: Any, /) -> Any: ...


Scalar: TypeAlias = float | jax.Array
"""A number, or an array without axes, which may be traced."""
ScalarOrSchedule: TypeAlias = float | jax.Array | Schedule

# Extra arguments of the protocol itself: any transformation may be given them, whether or not it reads them.
PROTOCOL_EXTRA_ARGS = frozenset({"value", "grad", "value_fn", "grad_fn", "key"})


class TransformInitFn(Protocol):
    """Make the state for parameters like `params`; only their shapes, dtypes and shardings matter to most."""

    def __call__(self, params: Params, /) -> OptState: ...


class TransformUpdateFn(Protocol):
    """Transform `updates`; returns the new updates and the new state. The extra arguments are those of the protocol."""

    def __call__(
        self,
        updates: Updates,
        state: OptState,
        params: Params | None = None,
        *,
        value: Any = ...,
        grad: Updates = ...,
        value_fn: Callable[..., Any] = ...,
        grad_fn: Callable[..., Updates] = ...,
        key: Any = ...,
    ) -> tuple[Updates, OptState]: ...


class TransformUpdateExtraArgsFn(Protocol):
    """As `TransformUpdateFn`, with any extra argument by keyword."""

    def __call__(
        self, updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any
    ) -> tuple[Updates, OptState]: ...


class Transformation(Protocol):
    """Whatever has an `init` and an `update`: a transformation of gradtx, of Optax, or of one's own."""

    @property
    def init(self) -> Callable[[Any], Any]: ...

    @property
    def update(self) -> Callable[..., Any]: ...


class _Pair(NamedTuple):
    init: TransformInitFn
    update: TransformUpdateFn


class GradientTransformation(Value, _Pair):
    """A pair of pure functions `init(params)` and `update(updates, state, params)`.

    What gradtx's factories return is also a value: equal arguments make equal transformations (so one can be a static
    argument of `jax.jit`), it pickles, and it prints as the call that made it.
    """

    if TYPE_CHECKING:  # made of plain functions, whatever extra arguments their signatures have

        def __new__(cls, init: Callable[[Any], Any], update: Callable[..., Any]) -> Self: ...


class GradientTransformationExtraArgs(GradientTransformation):
    """A transformation whose `update` takes extra arguments by keyword (`value=`, `key=`, ...)."""

    if TYPE_CHECKING:

        @property  # a narrower type of the field
        def update(self) -> TransformUpdateExtraArgsFn: ...  # pyright: ignore[reportIncompatibleVariableOverride]


class Function(Value):
    """A function, such as a schedule, that remembers the factory and the arguments it was made with."""

    def __init__(self, function: Callable[..., Any], made_by: Callable[..., Any] | None = None):
        functools.update_wrapper(self, made_by or function, updated=())
        self.__wrapped__ = function  # whose signature it shows

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)


class EmptyState(NamedTuple):
    """The state of a transformation that keeps none."""


def init_empty_state(params: Params) -> EmptyState:
    """Return the `EmptyState`, whatever the parameters."""
    del params
    return EmptyState()
