"""Read from the losses of short runs which learning rate to take."""

import math

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
    # The best of a short run is too large for a long one, and the smallest nearly as good too small for one not much longer.
    suggestion = math.sqrt(flat[0] * rates[best])
    why = (
        f"Take {suggestion:.2g}, the geometric middle between the best rate, {rates[best]:.2g} with a loss of "
        f"{ends[best]:.4g}, and the smallest that comes nearly as far in {steps} steps, {flat[0]:.2g}. So do all up to "
        f"{flat[1]:.2g}."
    )
    if flat[0] == rates[0] or best == len(rates) - 1:
        further = "a smaller low" if flat[0] == rates[0] else "a larger high"
        why += f" But none beyond was tried: search again with {further}."
    return LearningRates("race", rates, ends, suggestion, why, flat, curves)


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
    """The least and the largest rate around the best of those that come nearly as far down."""
    best = _best(losses)
    limit = losses[best] + (1 - _NEARLY) * abs(first - losses[best])
    least = _last_below(limit, rates[best::-1], losses[best::-1])
    return least, _last_below(limit, rates[best:], losses[best:])


def _last_below(limit: float, rates: np.ndarray, losses: np.ndarray) -> float:
    """The rate up to which losses stay below the limit, on a straight line to the logarithm of the first that is above it."""
    above = np.flatnonzero(~(losses <= limit))  # NaN, too
    if not len(above):
        return float(rates[-1])
    k = int(above[0])
    share = 0.0 if np.isnan(losses[k]) else (limit - losses[k - 1]) / (losses[k] - losses[k - 1])
    return float(rates[k - 1] * (rates[k] / rates[k - 1]) ** share)
