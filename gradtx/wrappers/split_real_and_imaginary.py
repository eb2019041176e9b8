"""Complex parameters as pairs of real ones."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    with_extra_args_support,
)


class SplitRealAndImaginaryArrays(NamedTuple):
    """What stands for a complex array."""

    real: jax.Array
    imaginary: jax.Array


class SplitRealAndImaginaryState(NamedTuple):
    """The state of a transformation that sees real arrays alone."""

    inner_state: OptState


@factory
def split_real_and_imaginary(inner: Transformation) -> GradientTransformationExtraArgs:
    """Let `inner` see the real and the imaginary part of each complex array as two real arrays.

    Each part then has moments of its own, as in PyTorch; elsewhere in gradtx the second moment is that of |g|².

    Args:
      inner: a transformation.
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> SplitRealAndImaginaryState:
        return SplitRealAndImaginaryState(inner.init(_parts(params)))

    @forwards_to(inner)
    def update(updates: Updates, state: SplitRealAndImaginaryState, params: Params | None = None, **extra_args: Any):
        parts, inner_state = inner.update(_parts(updates), state.inner_state, _parts(params), **extra_args)
        return jax.tree.map(_joined, updates, parts), SplitRealAndImaginaryState(inner_state)

    return GradientTransformationExtraArgs(init, update)


def _parts(tree: Any) -> Any:
    return jax.tree.map(lambda x: SplitRealAndImaginaryArrays(x.real, x.imag) if jnp.iscomplexobj(x) else x, tree)


def _joined(like: jax.Array, parts: Any) -> jax.Array:
    return jax.lax.complex(parts.real, parts.imaginary) if jnp.iscomplexobj(like) else parts
