"""torch.optim.Adafactor."""

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, at_step, chain, factory
from gradtx.optimizers.adafactor import scale_by_factored_rms
from gradtx.require import NONNEGATIVE, Range, is_zero
from gradtx.schedules.formula import schedule
from gradtx.transforms.clipping import clip_by_block_rms
from gradtx.transforms.param_block import scale_by_param_block_rms
from gradtx.transforms.scale import scale, scale_by_schedule
from gradtx.transforms.weight_decay import add_decayed_weights


@factory(beta2_decay=Range(high=0), d=require.AT_LEAST_ONE)
def adafactor(
    lr: ScalarOrSchedule = 1e-2,
    beta2_decay: float = -0.8,
    eps: tuple[float | None, float] = (None, 1e-3),
    d: float = 1.0,
    weight_decay: ScalarOrSchedule = 0.0,
    *,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's Adafactor does.

        u = g / its factored root mean square        over the last two axes, however small; at least eps[0]
        u ← u / max(1, rms(u) / d)
        ρ = min(lr, 1/√(t+1))                        t = 0 at the first step
        Δp = −ρ·max(eps[1], rms(p))·u − lr·weight_decay·p

    Optax factors the two largest axes, of at least 128 entries, and adds an epsilon to the squares; its learning rate has no
    bound 1/√t, and its weight decay no learning rate.

    Args:
      lr: largest relative step, a number or a schedule.
      beta2_decay: exponent of the decay of the means: they keep 1 − t^beta2_decay.
      eps: the least root mean square to divide by, None for the machine epsilon of what is computed in (float32 for narrower
        parameters), and the least of the parameters' own.
      d: bound of the root mean square of an update.
      weight_decay: factor of the decay, decoupled.
      maximize: whether to ascend.

    Raises:
      ValueError: a number is out of its range.

    References:
      Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018, https://arxiv.org/abs/1804.04235
    """
    floor, min_scale = eps
    for k, number in enumerate(eps):
        require.in_range(f"eps[{k}]", number, NONNEGATIVE)

    @schedule
    def relative_step(count):
        return jnp.minimum(at_step(lr, count), jax.lax.rsqrt(count.astype(float) + 1))

    @schedule
    def shrinkage(count):
        return at_step(lr, count) * at_step(weight_decay, count)

    decay = shrinkage if callable(lr) or callable(weight_decay) else lr * weight_decay
    return chain(
        *([scale(-1.0)] if maximize else []),
        scale_by_factored_rms(
            decay_rate=-beta2_decay,
            min_dim_size_to_factor=1,
            epsilon=0.0,
            last_axes=True,
            floor="machine epsilon" if floor is None else floor,
        ),
        clip_by_block_rms(d),
        scale_by_param_block_rms(min_scale),
        scale_by_schedule(relative_step),
        *([] if is_zero(weight_decay) else [add_decayed_weights(decay)]),
        scale(-1.0),
    )
