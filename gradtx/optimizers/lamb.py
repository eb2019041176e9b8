"""LAMB (You et al. 2020)."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.optimizers.adam import scale_by_adam
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.trust_ratio import scale_by_trust_ratio
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


@factory
def lamb(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    eps_root: float = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """LAMB: AdamW with steps relative to the norm of each array; for very large batches.

        u = m̂ / (√(v̂ + eps_root) + eps) + weight_decay·p        means of `scale_by_adam`
        Δp = −η · ‖p‖/‖u‖ · u

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      b1, b2, eps, eps_root: as in `scale_by_adam`.
      weight_decay, mask: a number or a schedule, and which parameters decay; see `add_decayed_weights`.

    Conventions:
      The weight decay is inside of the ratio, as in the paper; in Keras it is outside, and eps is 1e-7: `interop.keras.lamb`.
      timm clips the gradients first, `chain(clip_by_global_norm(1.0), lamb(...))`, unless `max_grad_norm=None`; arrays without
      weight decay have no ratio there, unless `always_adapt=True`.

    References:
      You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, 2020, https://arxiv.org/abs/1904.00962
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )
