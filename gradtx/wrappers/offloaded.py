"""Keep the state of a transformation in the memory of the host (Ren et al. 2021)."""

from typing import Any, Literal

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
    init_at_once,
    with_extra_args_support,
)
from gradtx.require import AT_LEAST_ONE
from gradtx.tree.layout import in_memory


@factory(min_size=AT_LEAST_ONE)
def offloaded(
    inner: Transformation, *, memory: Literal["pinned_host"] = "pinned_host", min_size: int = 4096
) -> GradientTransformationExtraArgs:
    """Keep the large arrays in the state of `inner` in the memory of the host: the device has them during the update alone.

    The state is that of `inner`, with the same numbers. Each update brings them to the device and takes what becomes of them
    back, in one program with it, so that the compiler can do both beside other work. On an accelerator that is as fast as the
    bus between the two: `quantized` inside of it, offloaded(quantized(adamw(1e-3))), has a quarter to carry. torchao calls it
    `CPUOffloadOptimizer`, and bitsandbytes' paged optimizers are of this kind.

    Donate parameters and state together to a step that returns them in this order: JAX gives a donated array to the first
    result of its shape, wherever that rests, and ends the program if it is the other memory.

    A state that you restore from a file rests where you put it, until the next update:
    `jax.tree.map(lambda x, like: jax.device_put(x, like.sharding), restored, tx.init(params))` puts it to the host.

    Args:
      inner: a transformation.
      memory: where the arrays rest. Pinned memory is what devices can read and write by themselves.
      min_size: the least number of entries of an array that is moved.

    Raises:
      TypeError, ValueError: an argument is out of its range.

    References:
      Ren et al., ZeRO-Offload: Democratizing Billion-Scale Model Training, 2021, https://arxiv.org/abs/2101.06840
    """
    inner = with_extra_args_support(inner)

    def to(space: Any, state: OptState) -> OptState:
        return jax.tree.map(lambda x: in_memory(x, space) if jnp.size(x) >= min_size else x, state)

    @forwards_to(inner, states=lambda state: (state,))
    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any):
        updates, state = inner.update(updates, to(jax.memory.Space.Device, state), params, **extra_args)
        return updates, to(jax.memory.Space.Host, state)

    init = init_at_once(inner, lambda state, _: to(jax.memory.Space.Host, state), key=(memory, min_size))
    return GradientTransformationExtraArgs(init, update)
