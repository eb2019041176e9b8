"""Resilient backpropagation (Riedmiller & Braun 1993)."""

from gradtx.core import GradientTransformationExtraArgs, ScalarOrSchedule, chain, factory
from gradtx.require import NONNEGATIVE
from gradtx.transforms.rprop import GROW, SHRINK, scale_by_rprop
from gradtx.transforms.scale import scale, scale_by_learning_rate


@factory(eta_minus=SHRINK, eta_plus=GROW, min_step_size=NONNEGATIVE, max_step_size=NONNEGATIVE._replace(infinite=True))
def rprop(
    learning_rate: ScalarOrSchedule,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 50.0,
) -> GradientTransformationExtraArgs:
    """Descend by steps whose size grows while the gradient keeps its sign, number by number.

        Δp = −sign(g)·step

    with the step sizes of `scale_by_rprop`.

    Args:
      learning_rate: size of the first step; `init` alone reads it, so that to change an injected one has no effect. With a
        schedule, all step sizes (and their bounds) are multiples of its value, and the first is 1.
      eta_minus: factor of a step size where the sign has turned, in (0, 1).
      eta_plus: factor where it has not, above 1.
      min_step_size: the least step size.
      max_step_size: the greatest.

    Conventions:
      With a constant learning rate it is PyTorch's, which never reads that of a schedule after the first step
      (`interop.torch.rprop`). Optax applies each update a step late.

    References:
      Riedmiller and Braun, A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP Algorithm, 1993,
        https://doi.org/10.1109/ICNN.1993.298623
    """
    bounds = eta_minus, eta_plus, min_step_size, max_step_size
    if callable(learning_rate):
        return chain(scale_by_rprop(1.0, *bounds), scale_by_learning_rate(learning_rate))
    return chain(scale_by_rprop(learning_rate, *bounds), scale(-1.0))
