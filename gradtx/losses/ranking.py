"""Losses of the order of a list."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.losses.arguments import loss
from gradtx.losses.softmax import cross_entropy


@loss("logits", "labels", "weights", broadcast=True)
def ranking_softmax_loss(
    logits: Any,
    labels: Any,
    *,
    where: Any = None,
    weights: Any = None,
    reduce_fn: Callable[..., Any] | None = jnp.mean,
) -> jax.Array:
    """Return the cross entropy between the relevance of the items of a list and the softmax of their scores.

        −Σᵢ wᵢyᵢ log(exp(sᵢ) / Σⱼ exp(sⱼ))

    Args:
      logits: s, scores of shape (..., items).
      labels: y, relevances, of a shape that broadcasts to it.
      where: bools in the shape of `logits`, or with 1 for any axis: which items there are. A list of none does not count; of
        no lists, the loss is 0.
      weights: w, of a shape that broadcasts to that of `logits`; None for 1.
      reduce_fn: what is returned of the losses of all lists, such as `jnp.mean` and `jnp.sum`; if there is a mask it is called
        with `where`, the lists that count. None for the losses themselves.

    Raises:
      TypeError: `logits` are not floats, or `where` not bools.
      ValueError: a shape does not match.

    References:
      Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, 2007, https://doi.org/10.1145/1273496.1273513
      Bruch et al., An Analysis of the Softmax Cost Function for Learning to Rank, 2019, https://doi.org/10.1145/3341981.3344221
    """
    losses = cross_entropy(logits, labels if weights is None else weights * labels, -1, where)
    if reduce_fn is None:
        return losses
    if where is None:
        return reduce_fn(losses)
    lists = jnp.any(where, axis=-1)
    return reduce_fn(losses, where=lists | ~jnp.any(lists))  # if none counts, all of them do: they are 0, and so is a mean
