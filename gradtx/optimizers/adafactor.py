"""Adafactor (Shazeer & Stern 2018)."""

import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx.core import GradientTransformation, GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.require import LIMIT
from gradtx.transforms.clipping import clip_by_block_rms
from gradtx.transforms.factored_rms import scale_by_factored_rms
from gradtx.transforms.momentum import ema
from gradtx.transforms.param_block import scale_by_param_block_rms
from gradtx.transforms.scale import scale, scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.mask import Mask


@factory(clipping_threshold=LIMIT)
def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: float = 0.8,
    decay_offset: int = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: float | None = 1.0,
    momentum: float | None = None,
    dtype_momentum: DTypeLike | None = jnp.float32,
    weight_decay_rate: ScalarOrSchedule | None = None,
    eps: float = 1e-30,
    factored: bool = True,
    weight_decay_mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """Descend as RMSProp relative to the size of the parameters, with the second moment of matrices in rows and columns.

        u = g / √v                                        v of `scale_by_factored_rms`
        u ← u / max(1, rms(u) / clipping_threshold)
        u ← η·u·max(rms(p), 1e-3)
        u ← mean of u with decay `momentum`
        Δp = −(u + weight_decay_rate·p)

    Args:
      learning_rate: η, a number, a schedule, or None for 1.
      min_dim_size_to_factor: the least size of an axis to factor.
      decay_rate: exponent of the decay 1 − t^−decay_rate of the second moment.
      decay_offset: number of steps that the decay lags behind; see `scale_by_factored_rms`.
      multiply_by_parameter_scale: whether the step is relative to the root mean square of the parameters.
      clipping_threshold: the largest root mean square of u, or None.
      momentum: decay of the mean of the updates, or None for none.
      dtype_momentum: dtype of that mean.
      weight_decay_rate: a number, a schedule, or None.
      eps: added to each square.
      factored: whether to factor at all.
      weight_decay_mask: which parameters decay; see `add_decayed_weights`.

    Conventions:
      As in Optax, the two largest axes are factored, of at least 128 entries; η is used as it is, and 1 without a learning
      rate, a first step as large as the parameters; the weight decay is not multiplied by it. PyTorch and Keras factor the last
      two axes, whatever their size, take at most η = 1/√t, and multiply their decay by the learning rate; Hugging Face's takes
      η = min(0.01, 1/√t) without one. Exactly theirs are `interop.torch.adafactor` and `interop.keras.adafactor`.

    References:
      Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018, https://arxiv.org/abs/1804.04235
    """
    members: list[GradientTransformation] = [
        scale_by_factored_rms(factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)
    ]
    if clipping_threshold is not None:
        members.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        members.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        members.append(scale_by_param_block_rms())
    if momentum is not None:
        members.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        members.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*members, scale(-1.0))
