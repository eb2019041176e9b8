"""AdaDelta (Zeiler 2012)."""

from typing import NamedTuple

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
)
from gradtx.numerics import abs_sq, bounded_square, clipped_to_finite, safe_sqrt, squarable
from gradtx.require import DECAY
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


class ScaleByAdaDeltaState(NamedTuple):
    """Mean square of the gradient, mean square of the update."""

    e_g: Updates
    e_x: Updates


@factory(rho=DECAY)
def scale_by_adadelta(rho: float = 0.9, eps: float = 1e-6) -> GradientTransformation:
    """AdaDelta's rescaling: the gradient over its root mean square, times the root mean square of the updates.

        G ← rho·G + (1−rho)·|g|²
        u = √(X + eps) / √(G + eps) · g
        X ← rho·X + (1−rho)·|u|²

    Args:
      rho: decay of both means.
      eps: added inside of both roots; sets the size of the first steps.

    References:
      Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012, https://arxiv.org/abs/1212.5701
    """

    @tree.lift
    def rule(g, e_g, e_x):
        e_g = rho * e_g + (1 - rho) * bounded_square(g)
        u = safe_sqrt(e_x + eps) / safe_sqrt(e_g + eps) * squarable(g)
        return u, e_g, rho * e_x + (1 - rho) * clipped_to_finite(abs_sq(u))

    def init(params: Params) -> ScaleByAdaDeltaState:
        return ScaleByAdaDeltaState(*(tree.moment_like(params, real=True) for _ in range(2)))

    def update(updates: Updates, state: ScaleByAdaDeltaState, params: Params | None = None):
        updates, e_g, e_x = rule(updates, state.e_g, state.e_x)
        return updates, ScaleByAdaDeltaState(e_g, e_x)

    return GradientTransformation(init, update)


@factory(rho=DECAY)
def adadelta(
    learning_rate: ScalarOrSchedule | None = None,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """AdaDelta: steps in the unit of the parameters, from the mean squares of gradients and of updates.

        Δp = −η·u        u of `scale_by_adadelta` for the gradient g + weight_decay·p

    Args:
      learning_rate: η, a number, a schedule, or None for 1.
      rho, eps: as in `scale_by_adadelta`.
      weight_decay, weight_decay_mask: an L2 penalty, added to the gradient; see `add_decayed_weights`.

    Conventions:
      The formula is the same everywhere. The learning rate is 1 as in the paper and in PyTorch, 1e-3 in Keras, whose rho is
      0.95 and eps 1e-7. The weight decay is a penalty, as in PyTorch; in Keras it is a decay. Without a learning rate Optax
      ascends. Exactly theirs are `interop.torch.adadelta` and `interop.keras.adadelta`.

    References:
      Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012, https://arxiv.org/abs/1212.5701
    """
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_adadelta(rho, eps),
        scale_by_learning_rate(1.0 if learning_rate is None else learning_rate),
    )
