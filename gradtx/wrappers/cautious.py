"""Cautious optimizers (Liang et al. 2024)."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    with_extra_args_support,
)
from gradtx.require import Range
from gradtx.tree.along import size_along
from gradtx.wrappers.directions import refuse_steps


class CautiousState(NamedTuple):
    """The state of the inner transformation."""

    inner_state: OptState


@factory(min_share=Range(low=0, high=1, low_included=False))
def cautious(
    inner: Transformation, *, min_share: float = 1e-3, count_one_more: bool = False
) -> GradientTransformationExtraArgs:
    """Cautious optimizer: leave out the entries of a direction that the gradient of this step does not agree with.

        c = 1 where u·g > 0, else 0                u of `inner`, g the gradient that it got
        u ← c·u / max(mean c, min_share)           the mean of each array

    It goes around the direction alone; weight decay and learning rate follow:

        chain(cautious(scale_by_adam()), add_decayed_weights(0.1), scale_by_learning_rate(1e-3))

    An entry of 0 agrees with nothing. Of complex numbers the real part of ū·g counts.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      inner: what makes a direction of the gradient, which points the same way: no learning rate is in it.
      min_share: the least share of entries that the rest is scaled up by.
      count_one_more: whether to divide by (Σc + 1)/size instead of max(mean c, min_share).

    Raises:
      ValueError: `min_share` is not above 0 and at most 1, or (from `init`) a learning rate is in `inner`.

    Conventions:
      The authors' AdamW and timm divide by max(mean c, 0.001), the authors' Lion and Adafactor, and the package
      pytorch_optimizer, by (Σc + 1)/size. In the authors' AdamW eps is not divided by √(1−b2ᵗ): `debias_eps=True` of
      `scale_by_adam`. All leave the weight decay as it is; `add_decayed_weights(..., cautious=True)` chooses what decays.
      timm's Adan compares only the mean of the gradient, and masks it alone.

    References:
      Liang et al., Cautious Optimizers: Improving Training with One Line of Code, 2024, https://arxiv.org/abs/2411.16085
    """
    inner = with_extra_args_support(inner)

    @tree.lift
    def rule(u, g):
        # Signs, as the product of two small numbers is 0.
        agrees = (jnp.real(jnp.conj(jnp.sign(u)) * jnp.sign(g)) > 0).astype(jnp.finfo(u.dtype).dtype)
        size = max(1, size_along(agrees))
        share = (tree.sum(agrees) + 1) / size if count_one_more else jnp.maximum(tree.sum(agrees) / size, min_share)
        return u * (agrees / share)

    def init(params: Params) -> CautiousState:
        inner_state = inner.init(params)
        refuse_steps(inner, inner_state)
        return CautiousState(inner_state)

    @forwards_to(inner, changes_updates=True)
    def update(updates: Updates, state: CautiousState, params: Params | None = None, **extra_args: Any):
        directions, inner_state = inner.update(updates, state.inner_state, params, **extra_args)
        return rule(directions, updates), CautiousState(inner_state)

    return GradientTransformationExtraArgs(init, update)
