"""Resilient backpropagation (Riedmiller & Braun 1993)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    at_step,
    chain,
    factory,
)
from gradtx.require import NONNEGATIVE, Range
from gradtx.transforms.scale import scale, scale_by_learning_rate

SHRINK = Range(low=0, high=1, low_included=False, high_included=False)
GROW = Range(low=1, low_included=False)


class ScaleByRpropState(NamedTuple):
    """Size of the next step, and the last update, 0 where the gradient had changed its sign."""

    step_sizes: Updates
    prev_updates: Updates


@factory(eta_minus=SHRINK, eta_plus=GROW, min_step_size=NONNEGATIVE, max_step_size=NONNEGATIVE._replace(infinite=True))
def scale_by_rprop(
    learning_rate: ScalarOrSchedule,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 50.0,
) -> GradientTransformation:
    """Rprop's update: the sign of each number times a step that grows while the sign lasts and shrinks when it turns.

        s = sign(g)·sign(uₜ₋₁)
        step ← clip(step·(eta_plus if s > 0, eta_minus if s < 0, 1 else), min_step_size, max_step_size)
        u = sign(g)·step   (0 if s < 0)

    Made for gradients of the whole data: noise turns signs. Real and imaginary parts of complex numbers are two numbers.

    Args:
      learning_rate: size of the first step; of a schedule its value at the first step.
      eta_minus: factor of a step size where the sign has turned, in (0, 1).
      eta_plus: factor where it has not, above 1.
      min_step_size: the least step size.
      max_step_size: the greatest.

    References:
      Riedmiller and Braun, A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP Algorithm, 1993,
        https://doi.org/10.1109/ICNN.1993.298623
    """

    def step(g: jax.Array, step: jax.Array, previous: jax.Array) -> tuple[jax.Array, jax.Array]:
        agreement = jnp.sign(g) * jnp.sign(previous)
        factor = jnp.where(agreement > 0, eta_plus, jnp.where(agreement < 0, eta_minus, 1.0))
        step = jnp.clip(step * factor, min_step_size, max_step_size)
        return jnp.where(agreement < 0, 0, jnp.sign(g) * step), step

    @tree.lift
    def rule(g, steps, previous):
        if not jnp.iscomplexobj(g):
            u, steps = step(g, steps, previous)
            return u, steps, u
        parts = [step(part(g), part(steps), part(previous)) for part in (jnp.real, jnp.imag)]
        u, steps = (jax.lax.complex(real, imag) for real, imag in zip(*parts, strict=True))
        return u, steps, u

    def init(params: Params) -> ScaleByRpropState:
        start = at_step(learning_rate, jnp.zeros((), jnp.int32))
        zeros = tree.moment_like(params)
        return ScaleByRpropState(tree.map_leaves(lambda zero: _filled(zero, start), zeros), zeros)

    def update(updates: Updates, state: ScaleByRpropState, params: Params | None = None):
        updates, step_sizes, prev_updates = rule(updates, state.step_sizes, state.prev_updates)
        return updates, ScaleByRpropState(step_sizes, prev_updates)

    return GradientTransformation(init, update)


def _filled(zero: jax.Array, start: float | jax.Array) -> jax.Array:
    """An array of step sizes, those of imaginary parts included."""
    return zero + jnp.asarray(start * (1 + 1j) if jnp.iscomplexobj(zero) else start, zero.dtype)


@factory(eta_minus=SHRINK, eta_plus=GROW, min_step_size=NONNEGATIVE, max_step_size=NONNEGATIVE._replace(infinite=True))
def rprop(
    learning_rate: ScalarOrSchedule,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 50.0,
) -> GradientTransformationExtraArgs:
    """Rprop: steps whose size grows while the gradient keeps its sign, number by number.

        Δp = −sign(g)·step

    with the step sizes of `scale_by_rprop`.

    Args:
      learning_rate: size of the first step; `init` alone reads it, so that to change an injected one has no effect. With a
        schedule, all step sizes (and their bounds) are multiples of its value, and the first is 1.
      eta_minus, eta_plus, min_step_size, max_step_size: as in `scale_by_rprop`.

    Conventions:
      With a constant learning rate it is PyTorch's, which never reads that of a schedule after the first step
      (`interop.torch.rprop`). Optax applies each update a step late.

    References:
      Riedmiller and Braun, 1993, https://doi.org/10.1109/ICNN.1993.298623
    """
    bounds = eta_minus, eta_plus, min_step_size, max_step_size
    if callable(learning_rate):
        return chain(scale_by_rprop(1.0, *bounds), scale_by_learning_rate(learning_rate))
    return chain(scale_by_rprop(learning_rate, *bounds), scale(-1.0))
