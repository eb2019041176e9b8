"""torch's CosineAnnealingLR and CosineAnnealingWarmRestarts."""

import jax.numpy as jnp

from gradtx.core import Scalar, factory
from gradtx.interop.torch.schedulers.recurrence import Scheduler, setting
from gradtx.schedules.formula import AT_LEAST_ONE_STEP, between, cosine
from gradtx.schedules.restarts import restarts


@factory(T_max=AT_LEAST_ONE_STEP._replace(high=2**30))
def cosine_annealing_lr(lr: Scalar, T_max: int, eta_min: float = 0.0) -> Scheduler:
    """Fall along half a cosine, rise along the other half, and so on, as CosineAnnealingLR.

        f(t) = eta_min + (lr − eta_min)·(1 + cos(π·t / T_max)) / 2

    In a composition it goes on from the learning rate it finds, but from step `T_max` on, where it has come down to
    `eta_min`, from `lr`.

    Args:
      lr: learning rate at step 0.
      T_max: after how many steps the lowest is reached; beyond, it rises, where gradtx's own `cosine_decay_schedule` stays.
      eta_min: the lowest.

    Raises:
      ValueError: `T_max` is not a positive integer.
    """
    height = lr - eta_min

    def wave(count):
        return cosine((T_max - count % (2 * T_max)) / jnp.asarray(T_max, float))

    def lowest(count):
        """The last step before `count` at which the wave is 0, or −1."""
        return jnp.maximum((count - 1 - T_max) // (2 * T_max) * (2 * T_max) + T_max, -1)

    def run(found, since, until):
        bottom = lowest(until)
        climbed = bottom >= since
        # At the bottom torch adds what the first step of the rise is; before and after, it multiplies by ratios of the wave.
        origin = jnp.where(climbed & (bottom == since), since + 1, since)
        excess = jnp.where(climbed & (bottom > since), 0, (found - eta_min) / _nonzero(wave(origin)))
        value = eta_min + (excess + jnp.where(climbed, height, 0)) * wave(until)
        return jnp.where(until > since, value, found)

    scales = isinstance(eta_min, int | float) and eta_min == 0
    return Scheduler(
        "cosine_annealing_lr",
        lr,
        lambda found: found,
        run,
        lambda found: jnp.asarray(lr, float),
        zero=lowest if scales else None,
    )


@factory(T_0=AT_LEAST_ONE_STEP, T_mult=AT_LEAST_ONE_STEP)
def cosine_annealing_warm_restarts(lr: Scalar, T_0: int, T_mult: int = 1, eta_min: float = 0.0) -> Scheduler:
    """Fall along half a cosine again and again, each time from the top, as CosineAnnealingWarmRestarts.

        f(t) = eta_min + (lr − eta_min)·(1 + cos(π·t_cur / T_i)) / 2      t_cur: steps since the last restart

    Args:
      lr: learning rate at each restart.
      T_0: how many steps the first fall takes.
      T_mult: how many times as long each is as the one before.
      eta_min: what it would fall to at the step of the restart.

    Raises:
      ValueError: `T_0` or `T_mult` is not a positive integer.

    References:
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, https://arxiv.org/abs/1608.03983
    """
    cycle = restarts(T_0, T_mult)

    def value(count):
        _, left = cycle(count)
        return between(lr, eta_min, cosine(left))

    return setting("cosine_annealing_warm_restarts", lr, value)


def _nonzero(x):
    return jnp.where(x == 0, 1, x)
