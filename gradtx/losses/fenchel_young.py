"""Losses made of a maximum (Blondel et al. 2020)."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from gradtx.losses.arguments import loss


class MaxFun(Protocol):
    """A function of scores of shape (n,) that returns a scalar."""

    def __call__(self, scores: Any, /, *args: Any, **kwargs: Any) -> Any: ...


def make_fenchel_young_loss(max_fun: MaxFun) -> Callable[..., jax.Array]:
    """Return the Fenchel-Young loss of a regularized maximum: Ω*(s) − ⟨y, s⟩.

        Ω*(s) = max ⟨y, s⟩ − Ω(y)

    Its gradient is the maximizing y less the targets. Of `logsumexp` it is the cross entropy with the softmax; of a
    `make_perturbed_fun` of a maximum, the loss of a perturbed optimizer.

    Args:
      max_fun: Ω*, from scores of shape (n,) to a scalar.

    Returns:
      A function of scores of shape (..., n) and of targets of a shape that broadcasts to it; what else it is given goes to
      `max_fun`. It returns losses of shape (...).

    Raises:
      TypeError: (the loss) scores are not floats.
      ValueError: (the loss) targets do not broadcast to the shape of scores.

    References:
      Blondel et al., Learning with Fenchel-Young Losses, 2020, https://arxiv.org/abs/1901.02324
    """

    @loss("scores", "targets", broadcast=True)
    def fenchel_young_loss(scores: Any, targets: Any, *args: Any, **kwargs: Any) -> jax.Array:
        maximum = jnp.vectorize(lambda scores: max_fun(scores, *args, **kwargs), signature="(n)->()")
        return maximum(scores) - jnp.sum(targets * scores, axis=-1)

    return fenchel_young_loss
