"""Sophia (Liu et al. 2023)."""

from jax.typing import DTypeLike

from gradtx import require
from gradtx.core import (
    GradientTransformationExtraArgs,
    ScalarOrSchedule,
    Transformation,
    chain,
    factory,
)
from gradtx.transforms.hutchinson import hutchinson_estimator_diag_hessian
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.mask import Mask
from gradtx.wrappers.sophia import scale_by_sophia


@factory(
    gamma=require.POSITIVE,
    clip_threshold=require.LIMIT,
    update_interval=require.AT_LEAST_ONE,
    print_win_rate_every_n_steps=require.NONNEGATIVE,
)
def sophia(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.965,
    b2: float = 0.99,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    weight_decay_mask: Mask | None = None,
    gamma: float = 0.01,
    clip_threshold: float | None = 1.0,
    update_interval: int = 10,
    hessian_diagonal_fn: Transformation = hutchinson_estimator_diag_hessian(),  # noqa: B008 - a value, without state
    mu_dtype: DTypeLike | None = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: int = 0,
) -> GradientTransformationExtraArgs:
    """Descend along the mean of the gradient divided by a mean of the diagonal of the Hessian, clipped.

        h ← b2·h + (1−b2)·ĥ                  every update_interval steps
        Δp = −η·( clip(m̂ / max(gamma·h, eps), ±clip_threshold) + weight_decay·p )

    Pass the objective, a function of the parameters alone, in each step:

        updates, state = optimizer.update(grads, state, params, obj_fn=lambda params: loss(params, batch))

    Outside of `jit` a new lambda compiles again; `obj_fn=jax.tree_util.Partial(loss_of_batch, batch)`, a function with the
    arrays it is applied to first, does not.

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean of the gradient.
      b2: decay of the mean of the estimates of the Hessian.
      eps: the least denominator.
      weight_decay: fraction of the parameters in a step, before the learning rate; a number or a schedule.
      weight_decay_mask: which parameters decay: a tree of bools, or a function of the parameters that returns one.
      gamma: how large a part of the coordinates is not clipped: the larger, the more.
      clip_threshold: largest magnitude of a coordinate, before the learning rate; None clips nothing.
      update_interval: how many steps there are from one estimate to the next.
      hessian_diagonal_fn: a transformation that replaces the updates by an estimate ĥ of the diagonal of the Hessian; its
        `update` is given the extra arguments.
      mu_dtype: dtype in which m is kept; by default that of the parameters, float32 at least.
      verbose: whether to print the win rate, the part of the coordinates that is not clipped.
      print_win_rate_every_n_steps: how many steps there are from one print to the next; 0 is as 1.

    References:
      Liu et al., Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training, 2023,
        https://arxiv.org/abs/2305.14342
    """
    rescale = scale_by_sophia(
        hessian_diagonal_fn,
        b1,
        b2,
        eps,
        gamma,
        clip_threshold,
        update_interval,
        mu_dtype,
        verbose,
        print_win_rate_every_n_steps,
    )
    return chain(rescale, add_decayed_weights(weight_decay, weight_decay_mask), scale_by_learning_rate(learning_rate))
