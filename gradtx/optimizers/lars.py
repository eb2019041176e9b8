"""LARS (You et al. 2017)."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.require import NONNEGATIVE
from gradtx.transforms.momentum import trace
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.trust_ratio import scale_by_trust_ratio
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask
from gradtx.wrappers.masked import masked


@factory(trust_coefficient=NONNEGATIVE)
def lars(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: Mask = True,
    trust_coefficient: float = 1e-3,
    eps: float = 0.0,
    trust_ratio_mask: Mask = True,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """LARS: momentum with steps relative to the norm of each array; for very large batches.

        u = g + weight_decay·p
        u ← η · trust_coefficient·‖p‖ / (‖u‖ + eps) · u
        Δp = −(sum of u with decay `momentum`)

    The learning rate comes before the momentum.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      weight_decay, weight_decay_mask: a number or a schedule, and which parameters decay; see `add_decayed_weights`.
      trust_coefficient: size of a step relative to the parameters.
      eps: added to the norm of the update.
      trust_ratio_mask: which parameters have relative steps.
      momentum, nesterov: as in `sgd`.

    Conventions:
      The ratio is to ‖g + weight_decay·p‖, as in Optax; in timm to ‖g‖ + weight_decay·‖p‖. The learning rate comes before the
      momentum; in timm after it, which differs where the rate changes: put `trace` before `scale_by_learning_rate`. timm leaves
      the ratio out without weight decay, unless `always_adapt=True`.

    References:
      You et al., Large Batch Training of Convolutional Networks, 2017, https://arxiv.org/abs/1708.03888
    """
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        masked(scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps), trust_ratio_mask),
        scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov),
    )
