"""Train 16-bit parameters by rounding at random, so that small steps count on average (Zamirai et al. 2020)."""

from typing import Any, NamedTuple

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
from gradtx.tree.hashing import die_like
from gradtx.tree.randomness import as_key, split_key
from gradtx.tree.sixteen_bits import has_sixteen_bits, refuse_wide, rounded_at_random, step_to, widened_updates


class StochasticallyRoundedState(NamedTuple):
    """The inner state, and the key of the next rounding."""

    inner_state: OptState
    rng_key: jax.Array


@factory
def stochastically_rounded(inner: Transformation, key: jax.Array | int) -> GradientTransformationExtraArgs:
    """Stochastic rounding: 16-bit parameters go to one of the two neighbours of where `inner` wants them, on average there.

        w = p + u                      float32, with u the update of `inner`
        p ← one of the two 16-bit numbers next to w, the nearer one the more likely, so that the mean is w

    Rounded to the nearest, a bfloat16 does not move by less than 1/512 of its size. `compensated` loses nothing, for 2 bytes a
    parameter more; this needs no memory, and adds noise of the size of the last digit.

    Put it around the whole optimizer, as `compensated`, which says what may be around it. Parameters of float32 or wider are
    left to `inner` as they are, and what is not finite is rounded as usual.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      inner: the whole optimizer. It is given float32 gradients, and the parameters in float32.
      key: key of the random numbers, or the number to make it from.

    Raises:
      ValueError: from `init`, if no parameter has 16 bits.

    References:
      Zamirai et al., Revisiting BFloat16 Training, 2020, https://arxiv.org/abs/2010.06192
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> StochasticallyRoundedState:
        refuse_wide(params)
        return StochasticallyRoundedState(inner.init(tree.map_leaves(widened, params)), as_key(key))

    @forwards_to(inner, widens=True)
    def update(updates: Updates, state: StochasticallyRoundedState, params: Params, **extra_args: Any):
        next_key, [now] = split_key(state.rng_key, key)
        updates = widened_updates(updates, params)
        wide = tree.map_leaves(widened, params)
        updates, inner_state = inner.update(updates, state.inner_state, wide, **extra_args)
        keys = tree.split_key_like(now, updates)
        return tree.map_leaves(_step, updates, params, keys), StochasticallyRoundedState(inner_state, next_key)

    return GradientTransformationExtraArgs(init, update)


def _step(u: Any, p: Any, key: Any) -> Any:
    return _rounded_step(u, p, jax.random.bits(key, (2,), jnp.uint32)) if has_sixteen_bits(p) else u


@jax.jit
def _rounded_step(u: jax.Array, p: jax.Array, seeds: jax.Array) -> jax.Array:
    return step_to(rounded_at_random(widened(p) + u.astype(jnp.float32), p.dtype, die_like(p, seeds)), p)
