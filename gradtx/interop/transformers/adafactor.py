"""Adafactor of transformers.optimization."""

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    ScalarOrSchedule,
    Transformation,
    Updates,
    chain,
    describe,
    description,
    factory,
)
from gradtx.optimizers.adafactor import scale_by_factored_rms
from gradtx.require import DECAY, LIMIT, NONNEGATIVE, Range, is_zero
from gradtx.schedules.formula import schedule
from gradtx.transforms.clipping import clip_by_block_rms
from gradtx.transforms.momentum import ema
from gradtx.transforms.param_block import scale_by_param_block_rms
from gradtx.transforms.scale import scale, scale_by_learning_rate


@factory(clip_threshold=LIMIT, decay_rate=Range(high=0), beta1=DECAY)
def adafactor(
    lr: ScalarOrSchedule | None = None,
    eps: tuple[float, float] = (1e-30, 1e-3),
    clip_threshold: float = 1.0,
    decay_rate: float = -0.8,
    beta1: float | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    scale_parameter: bool = True,
    relative_step: bool = True,
    warmup_init: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as the Adafactor of transformers does, which T5 is tuned with.

        u = g / its factored root mean square               over the last two axes, however small; eps[0] added to squares
        u ← u / max(1, rms(u) / clip_threshold)
        ρ = lr, or min(10⁻², 1/√t) with `relative_step`     t = 1 at the first step; 10⁻⁶·t with `warmup_init` for 10⁻²
        η = ρ · max(eps[1], rms(p))                         or ρ, without `scale_parameter`
        u ← η·u, or with `beta1` the mean of these
        Δp = −(u + η·weight_decay·p)

    torch's takes min(lr, 1/√t), divides by at least the machine epsilon, and its weight decay is not relative to rms(p).

    Args:
      lr: ρ, a number or a schedule, with relative_step=False alone; the Trainer's own is with scale_parameter=False, too.
      eps: what is added to squares, and the least root mean square of parameters.
      clip_threshold: bound of the root mean square of an update.
      decay_rate: exponent of the decay of the means: they keep 1 − t^decay_rate.
      beta1: decay of the mean of the updates, without correction of its bias; None for none.
      weight_decay: factor of the decay, decoupled.
      scale_parameter: whether a step is relative to the root mean square of the parameters.
      relative_step: whether ρ falls by itself.
      warmup_init: whether ρ rises first, from 10⁻⁶.

    Raises:
      ValueError: `relative_step` with an `lr`, or neither, `warmup_init` alone, or a number is out of its range.

    References:
      Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018, https://arxiv.org/abs/1804.04235
    """
    if (lr is not None) == relative_step:
        raise ValueError(f"adafactor: give lr with relative_step=False, and none with True, got {lr=} and {relative_step=}.")
    if warmup_init and not relative_step:
        raise ValueError("adafactor: warmup_init is of the relative step, got relative_step=False.")
    epsilon, min_scale = eps
    for k, number in enumerate(eps):
        require.in_range(f"eps[{k}]", number, NONNEGATIVE)

    @schedule
    def falling(count):
        t = count.astype(float) + 1
        return jnp.minimum(1e-6 * t if warmup_init else 1e-2, jax.lax.rsqrt(t))

    sizes = [
        scale_by_learning_rate(falling if lr is None else lr, flip_sign=False),
        *([scale_by_param_block_rms(min_scale)] if scale_parameter else []),
    ]
    decay = scale_by_learning_rate(weight_decay, flip_sign=False)
    made = chain(
        scale_by_factored_rms(decay_rate=-decay_rate, min_dim_size_to_factor=1, epsilon=epsilon, last_axes=True),
        clip_by_block_rms(clip_threshold),
        *sizes,
        *([] if beta1 is None else [ema(beta1, debias=False)]),
        *([] if is_zero(weight_decay) else [_add_of_params(chain(decay, *sizes))]),
        scale(-1.0),
    )
    if lr is None:
        describe(made.update, description(made)._replace(follows=(("lr", falling),)))  # so that `hyperparams` knows it
    return made


@factory
def _add_of_params(shrinking: Transformation) -> GradientTransformation:
    """Add what a transformation makes of the parameters to the updates."""

    @tree.lift
    def total(u, p):
        return u + p

    def update(updates: Updates, state: OptState, params: Params):
        shrinkage, state = shrinking.update(params, state, params)
        return total(updates, shrinkage), state

    return GradientTransformation(shrinking.init, update)
