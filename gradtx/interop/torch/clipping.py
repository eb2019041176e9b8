"""torch.nn.utils.clip_grad_norm_ and clip_grad_value_, as members of a chain."""

from typing import Literal

import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx import require, tree
from gradtx.core import EmptyState, GradientTransformation, Params, Scalar, Updates, factory, init_empty_state
from gradtx.transforms.clipping import clip
from gradtx.transforms.scale import scaled


@factory(max_norm=require.NONNEGATIVE._replace(infinite=True), norm_type=require.LIMIT)
def clip_grad_norm(
    max_norm: Scalar, norm_type: float | Literal["inf"] = 2.0, *, axis_name: str | tuple[str, ...] | None = None
) -> GradientTransformation:
    """Scale all updates by one factor so that their common norm is at most `max_norm`, as clip_grad_norm_.

        u = g · min(1, max_norm / (‖g‖ + 10⁻⁶))

    The 10⁻⁶ is torch's: gradtx's own `clip_by_global_norm`, which has none, scales by up to that much less. A norm that is
    inf or NaN makes NaN of what it clips, as in torch with `error_if_nonfinite=False`; `clip_by_global_norm` lets pass it.
    Norms are computed without overflow, where torch's of float32 entries above 1.8e19 are inf.

    Args:
      max_norm: the largest norm.
      norm_type: order of the norm: above 0, `inf`, or the word "inf".
      axis_name: inside of `shard_map` or `pmap`, the axes over which the updates are split; see `clip_by_global_norm`.

    Raises:
      ValueError: `max_norm` is negative, or `norm_type` is not above 0.
    """
    require.in_range("norm_type", float(norm_type), require.LIMIT)

    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        norm = tree.norm(updates, float(norm_type), axis_name=axis_name)
        return scaled(updates, factor=jnp.minimum(max_norm / (norm + 1e-6), 1)), state

    return GradientTransformation(init_empty_state, update)


@factory(clip_value=require.LIMIT)
def clip_grad_value(clip_value: ArrayLike) -> GradientTransformation:
    """Clip every coordinate: u = min(max(g, −clip_value), clip_value), as clip_grad_value_; it is gradtx's own `clip`.

    Args:
      clip_value: the largest magnitude of a coordinate.

    Raises:
      ValueError: `clip_value` is not above 0.
    """
    return clip(clip_value)
