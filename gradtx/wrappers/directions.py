"""What a wrapper that compares a direction with its gradient asks of what it wraps."""

from gradtx.core import OptState, Transformation, described
from gradtx.errors import unnamed


def refuse_steps(inner: Transformation, state: OptState) -> None:
    """Raise `ValueError` if the updates of `inner` are steps: a learning rate has turned them against the gradient.

    Args:
      inner: a transformation.
      state: its state, by which its parts are found.
    """
    if any(told.name == "scale_by_learning_rate" for told, _ in described(inner, state)):
        raise unnamed(
            ValueError,
            f"it compares a direction with the gradient, and a learning rate has turned the updates of {inner!r} round. "
            "Put it around the direction alone, and the learning rate after it: chain(..., scale_by_learning_rate(1e-3)).",
        )
