"""Keep the state of a transformation in another dtype than it computes in."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.compiled import keep_dtypes
from gradtx.core import (
    Decay,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    described,
    factory,
    forwards_to,
    told_apart,
    with_extra_args_support,
)
from gradtx.errors import unnamed, warn
from gradtx.tree.dtypes import working_dtype
from gradtx.tree.search import map_named

_LONG_MEMORY = 0.99  # from 0.996 on, a step of an average is below half of the last digit of a bfloat16


@factory
def stored(inner: Transformation, dtype: DTypeLike | Mapping[str, DTypeLike]) -> GradientTransformationExtraArgs:
    """Keep the state of `inner` in a dtype of 16 bits: it computes with float32, and what it returns is rounded.

        stored(gradtx.adamw(1e-3), {"mu": jnp.bfloat16})

    The state is that of `inner`, in other dtypes. Arrays of one axis and more are stored so; counts and other scalars, and
    complex arrays, stay, and so do the parameters and sums of gradients that `quantized` leaves alone, unless you name them. An
    average with a decay such as 0.999 does not decay in bfloat16, as its steps are less than half of
    the last digit: you get a warning.

    Args:
      inner: a transformation.
      dtype: a floating-point dtype of 16 bits or more for the whole state, or for some of its parts by name, as `tree.get`
        spells it: {"mu": jnp.bfloat16, "ScaleByAdamState.nu": jnp.float32}.

    Raises:
      TypeError: it is not a floating-point dtype.
      ValueError: it has 8 bits or less, in which most numbers would be 0; or, from `init`, the state has no part of a name.
    """
    inner = with_extra_args_support(inner)
    dtypes = dtype if isinstance(dtype, Mapping) else {}
    for each in dtypes.values() if isinstance(dtype, Mapping) else [dtype]:
        _check(each)

    def narrow(state: OptState) -> OptState:
        if not isinstance(dtype, Mapping):
            state, is_precise = told_apart(inner, state)
            return jax.tree.map(lambda x: x if is_precise(x) else _cast(x, dtype), state)
        for name, its_dtype in dtypes.items():
            try:
                state = map_named(state, name, lambda part, to=its_dtype: _cast(part, to))
            except KeyError as error:
                raise unnamed(ValueError, f"the state has no {name!r}: {error.args[0]}") from error
        return state

    def init(params: Params) -> OptState:
        state = narrow(inner.init(params))
        for decay, array in _averages(inner, state):
            _warn_if_it_cannot_decay(decay, array)
        return state

    @forwards_to(inner, states=lambda state: (state,))
    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        wide = _cast(state, working_dtype(jax.tree.leaves(state)))  # in one precision, as scalars are in that of `inner`
        updates, new_state = inner.update(updates, wide, params, **extra_args)
        return updates, keep_dtypes(new_state, state)

    return GradientTransformationExtraArgs(init, update)


def _check(dtype: Any) -> None:
    tree.check_moment_dtype(dtype)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise unnamed(TypeError, f"what is real is not stored in {jnp.dtype(dtype)}; write a real dtype.")
    if dtype is None or jnp.finfo(dtype).bits < 16:
        message = f"of the numbers in a state most would be 0 in {jnp.dtype(dtype)}; write a dtype of 16 bits."
        raise unnamed(ValueError, message)


def _cast(state: OptState, dtype: Any) -> OptState:
    def cast(x: Any) -> Any:
        return x.astype(dtype) if jnp.ndim(x) and jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(cast, state)


def _averages(tx: Transformation, state: OptState) -> Iterator[tuple[Decay, Any]]:
    """Yield the decays in a transformation, each with an array of the average."""
    for told, part in described(tx, state):
        for decay in told.decays:
            for array in jax.tree.leaves(getattr(part, decay.field, None)):
                yield decay, array


def _warn_if_it_cannot_decay(decay: Decay, array: Any) -> None:
    if array.dtype == jnp.bfloat16 and isinstance(decay.value, float) and decay.value > _LONG_MEMORY:
        warn(
            f"stored: {decay.field} with {decay.name} = {decay.value} never decays in bfloat16: "
            "a step of it is less than half of the last digit. Store it in float32."
        )
