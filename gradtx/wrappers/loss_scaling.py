"""Scale the loss so that gradients in float16 neither vanish nor overflow (Micikevicius et al. 2017)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.compiled import compiled, run_if
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    no_updates,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment
from gradtx.require import Range
from gradtx.tree.dtypes import widened
from gradtx.tree.search import get_only

# Where both a float32 and its inverse are normal numbers: subnormals may be flushed to zero.
_SMALLEST, _LARGEST = 2.0**-126, 2.0**126
_SCALE = Range(low=_SMALLEST, high=_LARGEST)


class DynamicLossScalingState(NamedTuple):
    """The scale, good steps since it changed, whether the last was good, bad steps in all, and the inner state."""

    scale: jax.Array
    growth_tracker: Count
    last_finite: jax.Array
    total_notfinite: Count
    inner_state: OptState


@factory(
    init_scale=_SCALE,
    growth_factor=Range(low=1, low_included=False),
    backoff_factor=Range(low=0, high=1, low_included=False, high_included=False),
    growth_interval=Range(low=1, high=2**31 - 1),
    min_scale=_SCALE,
)
def dynamic_loss_scaling(
    inner: Transformation,
    init_scale: float = 2.0**16,
    growth_factor: float = 2.0,
    backoff_factor: float = 0.5,
    growth_interval: int = 2000,
    *,
    min_scale: float = _SMALLEST,
    axis_name: str | tuple[str, ...] | None = None,
) -> GradientTransformationExtraArgs:
    """Dynamic loss scaling: unscale the gradients of a scaled loss, leave out steps that overflowed, and adapt the scale.

        g finite:   inner takes a step with g/scale;  scale ← growth_factor·scale after `growth_interval` such steps in a row
        otherwise:  u = 0, the inner state stays;     scale ← backoff_factor·scale

    A float16 holds no number between 0 and 6e-8, where gradients are common. Differentiate a loss that is larger:

        def scaled(params):
            loss = loss_fn(params)
            return gradtx.scale_loss(loss, state), loss

        grads, loss = jax.grad(scaled, has_aux=True)(params)
        updates, state = optimizer.update(grads, state, params)

    Place it around the whole optimizer, clipping included: `inner` is given float32 gradients of the true loss (wider ones stay
    wide), and its updates are returned in the dtype of the gradients. What `update` is given besides, such as `value=`, is
    handed on as it is: pass the loss itself, not the scaled one. Around `MultiSteps` it leaves out single mini-batches; inside,
    whole steps, and the scale is the same for all mini-batches of a step.

    The scale is that of PyTorch's GradScaler, but stays between `min_scale` and 2¹²⁶: PyTorch's may fall to 0, from where it
    never grows, and rise to 2¹²⁷, whose inverse is subnormal and may be flushed to zero. Gradients that overflow
    only as they are unscaled, which takes a scale below 1, count as not finite.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      inner: a transformation. It does not run in the steps left out.
      init_scale: the first scale.
      growth_factor: what the scale is multiplied by after `growth_interval` good steps in a row; more than 1.
      backoff_factor: what the scale is multiplied by after a bad step; between 0 and 1.
      growth_interval: how many good steps in a row let the scale grow.
      min_scale: the scale does not fall below it.
      axis_name: inside of `shard_map` or `pmap`, the axes over which the gradients are split, so that all devices leave out the
        same steps and have the same scale.

    Raises:
      ValueError: a number is out of its range.

    References:
      Micikevicius et al., Mixed Precision Training, 2017, https://arxiv.org/abs/1710.03740
      PyTorch, torch.amp.GradScaler, https://docs.pytorch.org/docs/stable/amp.html
    """
    inner = with_extra_args_support(inner)

    @tree.lift
    def unscale(g, *, inverse):
        return g * inverse

    @tree.lift
    def adapt(scale, good_steps, *, finite):
        good_steps = good_steps + 1
        due = good_steps >= growth_interval
        grown = jnp.where(growth_factor * scale <= _LARGEST, growth_factor * scale, scale)
        reduced = jnp.maximum(backoff_factor * scale, min_scale)
        return jnp.where(finite, jnp.where(due, grown, scale), reduced), jnp.where(finite & ~due, good_steps, 0)

    def init(params: Params) -> DynamicLossScalingState:
        return DynamicLossScalingState(
            scale=jnp.array(init_scale, jnp.float32),
            growth_tracker=jnp.zeros((), jnp.int32),
            last_finite=jnp.ones((), bool),
            total_notfinite=jnp.zeros((), jnp.int32),
            inner_state=inner.init(params),
        )

    @forwards_to(inner)
    @compiled
    def update(updates: Updates, state: DynamicLossScalingState, params: Params | None = None, **extra_args: Any):
        def unscaled():  # called twice, so that both uses fuse and there is no copy of the gradients
            return unscale(tree.map_leaves(widened, updates), inverse=1 / state.scale)

        finite = tree.all_finite(unscaled(), axis_name=axis_name)
        new_updates, inner_state = run_if(
            finite,
            lambda: inner.update(unscaled(), state.inner_state, params, **extra_args),
            otherwise=lambda: (no_updates(inner, updates), state.inner_state),
        )
        scale, growth_tracker = adapt(state.scale, state.growth_tracker, finite=finite)
        total = jnp.where(finite, state.total_notfinite, safe_increment(state.total_notfinite))
        return new_updates, DynamicLossScalingState(scale, growth_tracker, finite, total, inner_state)

    return GradientTransformationExtraArgs(init, update)


def scale_loss(loss: Any, state: OptState) -> jax.Array:
    """Return the loss times the scale that the next `update` of `dynamic_loss_scaling` divides its gradients by.

    The product is taken in float32 or wider. Let the loss itself be float32, too: its derivative is the scale, which float16
    holds up to 65504 only.

    Args:
      loss: an array.
      state: the state of an optimizer with `dynamic_loss_scaling` anywhere inside: in a chain, accumulated, injected, ...

    Raises:
      ValueError: there is no `DynamicLossScalingState` in the state, or there are several.
    """
    scale = get_only("scale_loss", state, DynamicLossScalingState).scale
    with jax.numpy_dtype_promotion("standard"):
        return widened(loss) * scale
