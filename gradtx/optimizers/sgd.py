"""Stochastic gradient descent, with momentum and with noise."""

import jax
from jax.typing import DTypeLike

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory, identity
from gradtx.transforms.momentum import trace
from gradtx.transforms.noise import add_noise
from gradtx.transforms.scale import scale_by_learning_rate


@factory
def sgd(
    learning_rate: ScalarOrSchedule,
    momentum: float | None = None,
    nesterov: bool = False,
    accumulator_dtype: DTypeLike | None = None,
) -> GradientTransformationExtraArgs:
    """SGD: steps along the gradient, with momentum if wanted.

        t ← g + momentum·t
        Δp = −η·t                with `nesterov`, Δp = −η·(g + momentum·t);  without momentum, Δp = −η·g

    Args:
      learning_rate: η, a number or a schedule.
      momentum: what is kept of the sum at each step; None for no momentum, and no state.
      nesterov: whether to look one step ahead.
      accumulator_dtype: dtype of the sum; by default that of the parameters, float32 at least.

    Conventions:
      PyTorch and Keras have the same formula with a momentum and a constant learning rate. In Keras the learning rate is inside
      of t, which differs where it changes; `weight_decay` is a penalty on g in PyTorch and a decay in Keras. Exactly theirs are
      `interop.torch.sgd` and `interop.keras.sgd`.

    References:
      Robbins and Monro, A Stochastic Approximation Method, 1951, https://doi.org/10.1214/aoms/1177729586
      Sutskever et al., On the importance of initialization and momentum in deep learning, 2013,
        https://proceedings.mlr.press/v28/sutskever13.html
    """
    direction = identity() if momentum is None else trace(momentum, nesterov, accumulator_dtype)
    return chain(direction, scale_by_learning_rate(learning_rate))


@factory
def noisy_sgd(
    learning_rate: ScalarOrSchedule,
    eta: float = 0.01,
    gamma: float = 0.55,
    key: jax.Array | int | None = None,
    *,
    seed: int | None = None,
) -> GradientTransformationExtraArgs:
    """Noisy SGD: SGD with Gaussian noise, which fades as training goes on.

        Δp = −η·(g + N(0, eta / t^gamma))

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      eta: variance of the noise at the first step.
      gamma: power at which it fades.
      key: key of the random numbers, or the number to make it from; 0 by default, so that each run draws the same.
      seed: another word for `key`, a number.

    Raises:
      ValueError: both `key` and `seed` are given.

    References:
      Neelakantan et al., Adding Gradient Noise Improves Learning for Very Deep Networks, 2015,
        https://arxiv.org/abs/1511.06807
    """
    return chain(add_noise(eta, gamma, key, seed=seed), scale_by_learning_rate(learning_rate))
