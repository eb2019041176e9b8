"""torch.optim.ASGD."""

import jax.numpy as jnp

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, at_step, factory
from gradtx.interop.torch.composition import composed
from gradtx.require import NONNEGATIVE
from gradtx.schedules.formula import elapsed, schedule
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.wrappers.weight_averaging import averaged


@factory(lambd=NONNEGATIVE)
def asgd(
    lr: ScalarOrSchedule = 1e-2,
    lambd: float = 1e-4,
    alpha: float = 0.75,
    t0: float = 1e6,
    weight_decay: ScalarOrSchedule = 0,
    *,
    maximize: bool = False,
) -> GradientTransformationExtraArgs:
    """Descend as torch's ASGD does: SGD with a falling rate, and the average of the parameters beside it.

        η = lr / (1 + lambd·lr·t)^alpha        t = 0 at the first step
        Δp = −η·(g + lambd·p)
        a ← a + (p − a) / max(1, t − t0)       the average, in `state.average`: torch's `ax`

    Args:
      lr: learning rate, a number or a schedule; of a schedule η has the value of the step before, as in torch.
      lambd: factor of the decay of the parameters, and of that of η.
      alpha: exponent of the decay of η.
      t0: the step at which averaging begins; before it the average is the parameters themselves.
      weight_decay: factor of the penalty.
      maximize: whether to ascend.

    Raises:
      ValueError: a number is out of its range.

    References:
      Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992, https://doi.org/10.1137/0330046
    """

    @schedule
    def eta(count):
        last = at_step(lr, elapsed(count, 1))
        return last / (1 + lambd * last * count) ** alpha

    @schedule
    def rate(count):
        return 1 / jnp.asarray(jnp.maximum(1, count - t0), float)

    return averaged(composed(add_decayed_weights(lambd), lr=eta, weight_decay=weight_decay, maximize=maximize), rate)
