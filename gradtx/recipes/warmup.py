"""Learning rates of recipes: a linear warm-up, and what follows it until the last step."""

from gradtx.core import Scalar, Schedule
from gradtx.errors import unnamed
from gradtx.schedules import join_schedules, linear_schedule, warmup_cosine_decay_schedule


def warmup_cosine(learning_rate: Scalar, warmup_steps: int, total_steps: int, end_fraction: float = 0.0) -> Schedule:
    """Return a linear warm-up, then a cosine from the peak to a fraction of it at the last step."""
    check_steps(warmup_steps, total_steps)
    return warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=learning_rate,
        warmup_steps=warmup_steps,
        decay_steps=total_steps,
        end_value=_product(end_fraction, learning_rate),
    )


def warmup_linear(learning_rate: Scalar, warmup_steps: int, total_steps: int) -> Schedule:
    """Return a linear warm-up, then a line from the peak to 0 at the last step."""
    check_steps(warmup_steps, total_steps)
    rise = linear_schedule(0.0, learning_rate, transition_steps=warmup_steps)
    fall = linear_schedule(learning_rate, 0.0, transition_steps=total_steps - warmup_steps)
    return join_schedules([rise, fall], boundaries=[warmup_steps])


def check_steps(warmup_steps: int, total_steps: int) -> None:
    """Raise `ValueError` if training ends before the warm-up does."""
    if total_steps <= warmup_steps:
        raise unnamed(
            ValueError,
            f"total_steps must be above warmup_steps ({warmup_steps}), got {total_steps}; give a shorter run a shorter "
            f"warm-up, such as warmup_steps={total_steps // 10}.",
        )


def _product(fraction: float, learning_rate: Scalar) -> Scalar:
    """As one would write it: a tenth of 3e-4 is 3e-5, and not 2.9999999999999997e-05."""
    product = fraction * learning_rate
    return float(f"{product:.12g}") if isinstance(product, float) else product
