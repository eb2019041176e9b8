"""torch's CyclicLR: the learning rate, and the momentum that it cycles the other way."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.core import Scalar, Schedule, factory
from gradtx.errors import unnamed
from gradtx.interop.torch.schedulers.recurrence import Scheduler, power, setting
from gradtx.schedules.formula import schedule

Height = Callable[[jax.Array], jax.Array]
_RANGES = {"step_size_up": require.POSITIVE, "step_size_down": require.NONNEGATIVE, "gamma": require.NONNEGATIVE}
_MODES = ("triangular", "triangular2", "exp_range")


@factory(**_RANGES)
def cyclic_lr(
    base_lr: Scalar,
    max_lr: Scalar,
    step_size_up: float = 2000,
    step_size_down: float | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: float = 1.0,
    scale_fn: Callable[[Any], Any] | None = None,
    scale_mode: Literal["cycle", "iterations"] = "cycle",
    cycle_momentum: bool = True,
    base_momentum: float = 0.8,
    max_momentum: float = 0.9,
) -> Scheduler:
    """Go up and down between two learning rates along lines, as CyclicLR.

        f(t) = base_lr + (max_lr − base_lr)·h(t)·scale

    h rises from 0 to 1 and falls back. The scale is 1 for "triangular", 2^(1 − cycle) for "triangular2", with the cycle 1
    at first, and gamma^t for "exp_range".

    Args:
      base_lr: learning rate at step 0 and at the end of each cycle.
      max_lr: learning rate at the top of a cycle of scale 1.
      step_size_up: how many steps the rise takes.
      step_size_down: how many steps the fall takes; by default as many.
      mode: which scale.
      gamma: of the scale of "exp_range".
      scale_fn: another scale, a function; `mode` is then not read.
      scale_mode: whether `scale_fn` is a function of the cycle or of the step.
      cycle_momentum, base_momentum, max_momentum: not read here: see `cyclic_momentum`.

    Raises:
      ValueError: a mode is unknown, or a number of steps is out of its range.

    References:
      Smith, Cyclical Learning Rates for Training Neural Networks, 2017, https://arxiv.org/abs/1506.01186
    """
    del cycle_momentum, base_momentum, max_momentum
    height = _height(step_size_up, step_size_down, mode, gamma, scale_fn, scale_mode)
    return setting("cyclic_lr", None, lambda count: base_lr + (max_lr - base_lr) * height(count), base=base_lr)


@factory(**_RANGES)
def cyclic_momentum(
    base_lr: Scalar,
    max_lr: Scalar,
    step_size_up: float = 2000,
    step_size_down: float | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: float = 1.0,
    scale_fn: Callable[[Any], Any] | None = None,
    scale_mode: Literal["cycle", "iterations"] = "cycle",
    cycle_momentum: bool = True,
    base_momentum: float = 0.8,
    max_momentum: float = 0.9,
) -> Schedule:
    """Return the momentum that goes down where `cyclic_lr` of the same arguments goes up.

        f(t) = max_momentum − (max_momentum − base_momentum)·h(t)·scale

    Give it to an optimizer as `momentum=`, or as the first of `betas=`.

    Args:
      base_lr, max_lr: not read.
      step_size_up, step_size_down, mode, gamma, scale_fn, scale_mode: as in `cyclic_lr`.
      cycle_momentum: True; otherwise torch leaves the optimizer its momentum, which is a number.
      base_momentum: the lowest.
      max_momentum: the highest, at step 0.

    Raises:
      ValueError: as for `cyclic_lr`, or `cycle_momentum` is False.
    """
    del base_lr, max_lr
    require_momentum(cycle_momentum)
    height = _height(step_size_up, step_size_down, mode, gamma, scale_fn, scale_mode)
    return schedule(lambda count: max_momentum - (max_momentum - base_momentum) * height(count))


def require_momentum(cycle_momentum: bool) -> None:
    """Refuse to make the schedule of a momentum that does not change."""
    if not cycle_momentum:
        raise unnamed(ValueError, "with cycle_momentum=False the momentum stays; give the optimizer the number.")


def _height(up: Any, down: Any, mode: str, gamma: Any, scale_fn: Any, scale_mode: str) -> Height:
    """Where between the lowest and the highest the value of a step is, from 0 to 1."""
    up = _whole(up)
    down = up if down is None else _whole(down)

    def height(count: jax.Array) -> jax.Array:
        cycle, position = jnp.divmod(count, up + down)
        fall = (up + down - position) / jnp.where(down > 0, down, 1).astype(float)
        triangle = jnp.where(position <= up, position / jnp.asarray(up, float), fall)
        return triangle * scale(cycle + 1, count)

    def scale(cycle: jax.Array, count: jax.Array) -> Any:
        if scale_fn is not None:
            return scale_fn((cycle if scale_mode == "cycle" else count).astype(int))
        if mode == "triangular2":
            return jnp.exp2(1 - cycle.astype(float))
        return power(gamma, count) if mode == "exp_range" else 1

    return height


def _whole(steps: Any) -> Any:
    """An integer where it is whole, since a float32 cannot count beyond 2²⁴."""
    return int(steps) if isinstance(steps, float) and steps.is_integer() else steps
