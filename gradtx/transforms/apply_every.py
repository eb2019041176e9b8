"""Sum updates over steps."""

from typing import NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import GradientTransformation, Params, Updates, factory, tells
from gradtx.numerics import Count
from gradtx.require import AT_LEAST_ONE


class ApplyEvery(NamedTuple):
    """Steps since the last update, sum of what came since."""

    count: Count
    grad_acc: Updates


@factory(k=AT_LEAST_ONE)
def apply_every(k: int = 1) -> GradientTransformation:
    """Accumulate updates: hold them back and emit their sum at every k-th step; the other steps are zero.

    It sums what comes out of the members before it, whose states move at every step. To run an optimizer on the mean of k
    gradients, use `MultiSteps`.

    Args:
      k: number of steps.
    """

    @tree.lift
    def rule(g, total, *, first, emits):
        total = g + jnp.where(first, 0, total)
        return jnp.where(emits, total, 0), total

    def init(params: Params) -> ApplyEvery:
        return ApplyEvery(jnp.zeros((), jnp.int32), tree.moment_like(params))

    @tells(precise=("grad_acc",))
    def update(updates: Updates, state: ApplyEvery, params: Params | None = None):
        count = state.count % k
        updates, total = rule(updates, state.grad_acc, first=count == 0, emits=count == k - 1)
        return updates, ApplyEvery((count + 1) % k, total)

    return GradientTransformation(init, update)
