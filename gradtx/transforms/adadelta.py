"""AdaDelta (Zeiler 2012)."""

from typing import NamedTuple

from gradtx import tree
from gradtx.core import GradientTransformation, Params, Updates, factory
from gradtx.numerics import abs_sq, safe_sqrt, squarable
from gradtx.require import DECAY


class ScaleByAdaDeltaState(NamedTuple):
    """Mean square of the gradient, mean square of the update."""

    e_g: Updates
    e_x: Updates


@factory(rho=DECAY)
def scale_by_adadelta(rho: float = 0.9, eps: float = 1e-6) -> GradientTransformation:
    """Divide the gradient by its root mean square, and multiply it by that of the updates, whose unit it takes.

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
        g = squarable(g)
        e_g = rho * e_g + (1 - rho) * abs_sq(g)
        u = safe_sqrt(e_x + eps) / safe_sqrt(e_g + eps) * g
        return u, e_g, rho * e_x + (1 - rho) * abs_sq(u)

    def init(params: Params) -> ScaleByAdaDeltaState:
        return ScaleByAdaDeltaState(*(tree.moment_like("scale_by_adadelta", params, real=True) for _ in range(2)))

    def update(updates: Updates, state: ScaleByAdaDeltaState, params: Params | None = None):
        updates, e_g, e_x = rule(updates, state.e_g, state.e_x)
        return updates, ScaleByAdaDeltaState(e_g, e_x)

    return GradientTransformation(init, update)
