"""keras.optimizers.Muon."""

import re
from collections.abc import Sequence
from typing import Any, Unpack

import jax
from jax.tree_util import keystr

from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Transformation,
    at_step,
    chain,
)
from gradtx.interop.keras.composition import Options, composed, decaying, optimizer
from gradtx.optimizers.adam import scale_by_adam
from gradtx.optimizers.muon import scale_by_matrix_shape, scale_by_muon
from gradtx.require import AT_LEAST_ONE, DECAY, NONNEGATIVE
from gradtx.schedules.formula import schedule
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.wrappers.partition import partition

# Added to the norm of Keras's momentum, whatever its epsilon.
_NORM_EPSILON = 1e-7


@optimizer(
    adam_beta_1=DECAY,
    adam_beta_2=DECAY,
    adam_weight_decay=NONNEGATIVE,
    adam_lr_ratio=NONNEGATIVE,
    momentum=DECAY,
    ns_steps=AT_LEAST_ONE,
    rms_rate=NONNEGATIVE,
)
def muon(
    learning_rate: ScalarOrSchedule = 0.001,
    adam_beta_1: float = 0.9,
    adam_beta_2: float = 0.999,
    adam_weight_decay: float | None = 0.004,
    epsilon: float = 1e-7,
    weight_decay: float | None = 0.004,
    *,
    exclude_layers: Sequence[str] | None = None,
    exclude_embeddings: bool = True,
    muon_a: float = 3.4445,
    muon_b: float = -4.7750,
    muon_c: float = 2.0315,
    adam_lr_ratio: float = 1,
    momentum: float = 0.95,
    ns_steps: int = 5,
    nesterov: bool = True,
    rms_rate: float | None = 0.2,
    **options: Unpack[Options],
) -> GradientTransformationExtraArgs:
    """Descend as Keras's Muon does, with Adam for all but the matrices that are not embeddings.

        u = UVᵀ of m = UΣVᵀ                                          m ← momentum·m + g, with `nesterov` one step ahead
        Δp = −learning_rate·rms_rate·√max(rows, columns)·u           of a matrix
        Δp = −learning_rate·adam_lr_ratio·(Adam's)                   of all else: see `adam`

    The mean of gradtx's `muon` is corrected for its bias, and its factor is √max(1, columns/rows) by default. PyTorch iterates
    in bfloat16.

    Args:
      learning_rate, **options: see `Options`.
      adam_beta_1: decay of Adam's mean of the gradient.
      adam_beta_2: decay of Adam's mean of its square.
      adam_weight_decay: the decay of the parameters that use Adam; adam_lr_ratio does not reduce it.
      epsilon: Adam's.
      weight_decay: the decay of the matrices.
      exclude_layers: regular expressions; a parameter in whose path, as "layers/0/kernel", one is found uses Adam.
      exclude_embeddings: whether what has "embedding" in its path uses Adam, in any case of letters.
      muon_a: a, of the iterations of `scale_by_muon`.
      muon_b: b.
      muon_c: c.
      adam_lr_ratio: the learning rate of Adam over that of the matrices.
      momentum: what is kept of m.
      ns_steps: number of iterations.
      nesterov: whether to look one step ahead, in the matrices.
      rms_rate: the root mean square of an update of a square matrix, before the learning rate; None for the factor 1.

    References:
      Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024, https://kellerjordan.github.io/posts/muon/
      Liu et al., Muon is Scalable for LLM Training, 2025, https://arxiv.org/abs/2502.16982
    """
    patterns = [*(["(?i:embedding)"] if exclude_embeddings else []), *(exclude_layers or ())]

    def label(path: Any, p: Any) -> str:
        name = keystr(path, simple=True, separator="/")
        return "adam" if p.ndim != 2 or any(re.search(pattern, name) for pattern in patterns) else "muon"

    def labels(params: Params) -> Any:
        return jax.tree_util.tree_map_with_path(label, params)

    def descent(rate: ScalarOrSchedule) -> GradientTransformation:
        @schedule
        def adam_rate(count):
            return at_step(rate, count) * adam_lr_ratio

        matrices: Transformation = chain(
            scale_by_muon(
                (muon_a, muon_b, muon_c),
                ns_steps,
                momentum,
                _NORM_EPSILON * (1 - momentum),  # of a mean, which is 1−momentum times the sum that Keras keeps
                nesterov=nesterov,
                bias_correction=False,
            ),
            *([] if rms_rate is None else [scale_by_matrix_shape(consistent_rms=rms_rate)]),
            scale_by_learning_rate(rate),
        )
        others: Transformation = chain(
            scale_by_adam(adam_beta_1, adam_beta_2, epsilon, debias_eps=True),
            scale_by_learning_rate(adam_rate if callable(rate) else rate * adam_lr_ratio),
        )
        mask = options.get("mask")
        matrices = decaying(matrices, rate, weight_decay, mask)
        others = decaying(others, rate, adam_weight_decay, mask)
        return partition({"muon": matrices, "adam": others}, labels)

    return composed(descent, learning_rate, **options)
