"""keras.optimizers.Adafactor."""

from typing import Unpack

import jax
import jax.numpy as jnp

from gradtx import require
from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, at_step, chain
from gradtx.interop.keras.composition import Options, composed, optimizer
from gradtx.optimizers.adafactor import scale_by_factored_rms
from gradtx.schedules.formula import schedule
from gradtx.transforms.clipping import clip_by_block_rms
from gradtx.transforms.param_block import scale_by_param_block_rms
from gradtx.transforms.scale import scale_by_learning_rate


@optimizer(beta_2_decay=require.Range(high=0), epsilon_1=require.NONNEGATIVE, epsilon_2=require.NONNEGATIVE)
def adafactor(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_2_decay: float = -0.8,
    epsilon_1: float = 1e-30,
    epsilon_2: float = 1e-3,
    clip_threshold: float = 1.0,
    relative_step: bool = True,
    weight_decay: float | None = None,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's Adafactor does.

        u = g / its factored root mean square              over the last two axes, however small
        u ← u / max(1, rms(u) / clip_threshold)
        ρ = min(learning_rate, 1/√t)                       t = 1 at the first step
        Δp = −ρ·max(epsilon_2, rms(p))·u

    Optax factors the two largest axes, of at least 128 entries, and has no bound 1/√t.

    Args:
      learning_rate, weight_decay, **options: see `Options`.
      beta_2_decay: exponent of the decay of the means: they keep 1 − t^beta_2_decay.
      epsilon_1: added to each square.
      epsilon_2: the least root mean square of the parameters that counts.
      clip_threshold: bound of the root mean square of an update.
      relative_step: without effect, as in Keras 3.15, where the bound 1/√t holds either way.

    References:
      Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018, https://arxiv.org/abs/1804.04235
    """
    del relative_step

    def descent(rate: ScalarOrSchedule) -> GradientTransformationExtraArgs:
        @schedule
        def bounded(count):
            return jnp.minimum(at_step(rate, count), jax.lax.rsqrt(count.astype(float) + 1))

        return chain(
            scale_by_factored_rms(decay_rate=-beta_2_decay, min_dim_size_to_factor=1, epsilon=epsilon_1, last_axes=True),
            clip_by_block_rms(clip_threshold),
            scale_by_param_block_rms(epsilon_2),
            scale_by_learning_rate(bounded),
        )

    return composed(descent, learning_rate, weight_decay, **options)
