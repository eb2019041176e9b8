"""L-BFGS (Liu & Nocedal 1989): quasi-Newton steps with a line search."""

from gradtx.core import (
    GradientTransformationExtraArgs,
    ScalarOrSchedule,
    Transformation,
    chain,
    factory,
    identity,
)
from gradtx.transforms.lbfgs import scale_by_lbfgs
from gradtx.transforms.scale import scale, scale_by_learning_rate
from gradtx.transforms.zoom_linesearch import scale_by_zoom_linesearch

_ZOOM = scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")


@factory
def lbfgs(
    learning_rate: ScalarOrSchedule | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: Transformation | None = _ZOOM,
) -> GradientTransformationExtraArgs:
    """Descend along the gradient times an estimate of the inverse Hessian, as far as a line search says.

        Δp = −η·H·g        H of the last `memory_size` steps, see `scale_by_lbfgs`; η from the line search

    For objectives without noise: the same data at every step. `update` reads what the line search does, `value=`, `grad=` and
    `value_fn=`; `value_and_grad_from_state` saves the evaluation that the search has made already, and `minimize` is the
    whole loop. PyTorch's L-BFGS is the same method with a learning rate of 1 and no search by default.

    Args:
      learning_rate: a factor of the step that the line search begins with; None for 1.
      memory_size: how many steps are remembered; each takes two copies of the parameters.
      scale_init_precond: whether H begins with the curvature of the last step; else with 1.
      linesearch: what chooses η; None takes every step as it is.

    References:
      Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989,
        https://doi.org/10.1007/BF01589116
    """
    return chain(
        scale_by_lbfgs(memory_size, scale_init_precond),
        scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate),
        identity() if linesearch is None else linesearch,
    )
