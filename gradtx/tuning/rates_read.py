"""Read from the losses of short runs which learning rate to take."""

import numpy as np

from gradtx.errors import unnamed
from gradtx.tuning.learning_rates import LearningRates

_NEARLY = 0.98  # of the way down from the first loss to the least


def of_race(rates: np.ndarray, curves: np.ndarray) -> LearningRates:
    """Read a race.

    Args:
      rates: learning rates, in equal ratios.
      curves: the smoothed loss of each at each step, NaN where it has exploded.
    """
    ends, steps = curves[:, -1], curves.shape[1]
    best = _best(ends)
    flat = _flat(rates, ends, np.nanmax(curves[:, 0]))
    why = (
        f"Take {flat[0]:.2g}, the smallest rate that came nearly as far in {steps} steps as the best, {rates[best]:.2g} with a "
        f"loss of {ends[best]:.4g}. So did all from {flat[0]:.2g} to {flat[1]:.2g}."
    )
    if flat[0] == rates[0] or best == len(rates) - 1:
        further = "a smaller low" if flat[0] == rates[0] else "a larger high"
        why += f" But none beyond was tried: search again with {further}."
    return LearningRates("race", rates, ends, flat[0], why, flat, curves)


def of_range(rates: np.ndarray, curve: np.ndarray) -> LearningRates:
    """Read a range test.

    Args:
      rates: that of each step, in equal ratios.
      curve: the smoothed loss at each step, NaN from where it has exploded.
    """
    best = _best(curve)
    falling, width = curve[: best + 1], max(2, len(rates) // 20)
    if len(falling) <= width:
        raise unnamed(ValueError, f"the loss does not fall from the rate {rates[0]:.2g} on; search again with a smaller low.")
    steepest = int(np.argmin(falling[width:] - falling[:-width])) + width // 2
    exploded = np.isnan(curve)
    end = f"has exploded at {rates[exploded.argmax()]:.2g}" if exploded.any() else f"is least at {rates[best]:.2g}"
    why = f"Take {rates[steepest]:.2g}: there the loss falls fastest; it {end}."
    return LearningRates("range", rates, curve, float(rates[steepest]), why, _flat(rates, curve, curve[0]))


def _best(losses: np.ndarray) -> int:
    if np.isnan(losses).all():
        raise unnamed(ValueError, "the loss explodes at every rate; search again with a smaller low, or begin with a warm-up.")
    return int(np.nanargmin(losses))


def _flat(rates: np.ndarray, losses: np.ndarray, first: float) -> tuple[float, float]:
    """The least and the largest rate around the best of those that came nearly as far down."""
    best = _best(losses)
    near = losses <= losses[best] + (1 - _NEARLY) * abs(first - losses[best])
    beyond = np.flatnonzero(~near)
    below, above = beyond[beyond < best], beyond[beyond > best]
    begin = below[-1] + 1 if len(below) else 0
    end = above[0] - 1 if len(above) else len(rates) - 1
    return float(rates[begin]), float(rates[end])
