"""Train 16-bit parameters as if they were float32: the bits they lack are the state."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
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
from gradtx.tree.dtypes import widened
from gradtx.tree.holes import MaskedNode, is_hole
from gradtx.tree.sixteen_bits import has_sixteen_bits, joined, low_bits_of, refuse_wide, step_to, widened_updates


class CompensatedState(NamedTuple):
    """The inner state, and how many float32 numbers the true parameters are further from 0 than the rounded ones."""

    inner_state: OptState
    low: Updates


@factory
def compensated(inner: Transformation, *, low_bits: Literal[8, 16] = 16) -> GradientTransformationExtraArgs:
    """Master weights in half of the memory: `inner` trains float32 parameters whose low bits are in the state.

        w = p + low                          float32, of which the 16-bit p is the rounding
        u, inner's state ← inner(g, w)       in float32
        p ← round(w + u), low ← the rest

    A bfloat16 has 8 significant bits, so that a step of less than 1/512 of a parameter leaves it as it was: Adam at a usual
    learning rate stands still. Here nothing is lost. With 16 low bits w is a float32 to the bit (but for ties, which move by
    one unit in the last place), in 2 bytes a parameter; a copy in float32 takes 4. With 8, in 1 byte, w has 15 significant bits
    or 16.

    Put it around the whole optimizer: its updates are float32, the steps from one rounded parameter to the next, and
    `apply_updates` of gradtx, Optax and Flax, which adds in float32 and rounds, makes exactly these parameters of them. Nothing
    may come between, which `chain` and wrappers that change updates refuse; those that leave steps out or gather gradients
    (`MultiSteps`, `apply_if_finite`, `dynamic_loss_scaling`) may be around it. Parameters of float32 or wider are left to
    `inner` as they are. Set a parameter yourself, and its low bits stay.

    A float16 has even steps below 6e-5: what is smaller is kept to 1e-12.

    Args:
      inner: the whole optimizer. It is given float32 gradients, and float32 parameters.
      low_bits: how many bits of each parameter are in the state, 16 or 8.

    Raises:
      ValueError: from `init`, if no parameter has 16 bits.

    References:
      Kalamkar et al., Optimizing Deep Learning Recommender Systems' Training On CPU Cluster Architectures, 2020 (split SGD),
        https://arxiv.org/abs/2005.04680
    """
    inner = with_extra_args_support(inner)
    dtype = jnp.int16 if low_bits == 16 else jnp.int8

    def init(params: Params) -> CompensatedState:
        refuse_wide(params)
        low = tree.map_leaves(lambda p: tree.zeros_like(p, dtype) if has_sixteen_bits(p) else MaskedNode(), params)
        return CompensatedState(inner.init(tree.map_leaves(widened, params)), low)

    @forwards_to(inner, widens=True)
    def update(updates: Updates, state: CompensatedState, params: Params, **extra_args: Any):
        updates = widened_updates(updates, params)
        master = tree.map_leaves(_master, params, state.low)
        updates, inner_state = inner.update(updates, state.inner_state, master, **extra_args)
        pairs = jax.tree.map(_step, updates, params, state.low, is_leaf=is_hole)
        updates, low = (jax.tree.map(lambda _, pair, k=k: pair[k], updates, pairs, is_leaf=is_hole) for k in range(2))
        return updates, CompensatedState(inner_state, low)

    return GradientTransformationExtraArgs(init, update)


def _master(p: Any, low: Any) -> jax.Array:
    return p if is_hole(low) else _joined(p, low)


def _step(u: Any, p: Any, low: Any) -> tuple[Any, Any]:
    return (u, low) if is_hole(u) or is_hole(low) else _compensated_step(u, p, low)


_joined = jax.jit(joined)


@jax.jit
def _compensated_step(u: jax.Array, p: jax.Array, low: jax.Array) -> tuple[jax.Array, jax.Array]:
    master = joined(p, low) + u.astype(jnp.float32)
    step = step_to(master.astype(p.dtype), p)
    made = (widened(p) + step).astype(p.dtype)  # what `apply_updates` makes of it
    return step, low_bits_of(master, made, low.dtype)
