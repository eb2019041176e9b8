"""What is read from a loss curve before it is judged."""

from typing import NamedTuple

import numpy as np

_PARTS = 20  # a mean is one of a twentieth of the run
_FIRST = 20  # losses, in which a spike is but a few


class LossCurve(NamedTuple):
    """A loss curve in a few numbers.

    - `steps`: how many losses there are that are finite, from the first on;
    - `nonfinite`: the step of the first that is not; None if all are;
    - `start`: the loss at first;
    - `end`, `least`: means of a twentieth of the run, the last and the least;
    - `peak`: the largest loss;
    - `peak_at`: where that is, as a share of the run;
    - `usual`: a loss that is not surprising in the first steps, as single batches differ;
    - `half_at`: the share of the run after which half of the way from the start to the end was done;
    - `noise`, `first_noise`: how much losses differ from step to step in the last quarter, and in the first steps;
    - `late_fall`: the logarithm of the mean of the second quarter over that of the last, and its standard error.
    """

    steps: int
    nonfinite: int | None
    start: float
    end: float
    least: float
    peak: float
    peak_at: float
    usual: float
    half_at: float
    noise: float
    first_noise: float
    late_fall: tuple[float, float]

    @property
    def fall(self) -> float:
        """How much less the loss is at the end, as a share of what it was."""
        return (self.start - self.end) / abs(self.start) if self.start else 0.0

    @property
    def unrest(self) -> float:
        """The noise beside the way that the loss has gone."""
        return self.noise / max(self.start - self.least, 1e-30)


def read(losses: np.ndarray) -> LossCurve:
    """Read a loss curve.

    Args:
      losses: the loss at each step; at least one is finite.
    """
    bad = np.flatnonzero(~np.isfinite(losses))
    nonfinite = int(bad[0]) if len(bad) else None
    finite = losses[:nonfinite].astype(np.float64)
    number = len(finite)
    width = max(1, number // _PARTS)
    means = np.convolve(finite, np.full(width, 1 / width), "valid")
    start, end = _start(finite), float(means[-1])
    done = np.flatnonzero((start - means) >= (start - end) / 2) if end < start else np.array([])
    quarter = max(1, number // 4)
    return LossCurve(
        steps=number,
        nonfinite=nonfinite,
        start=start,
        end=end,
        least=float(means.min()),
        peak=float(finite.max()),
        peak_at=float(finite.argmax() / number),
        usual=_usual(finite[:_FIRST]),
        half_at=float(done[0] / number) if len(done) else 1.0,
        noise=_noise(finite[-quarter:]),
        first_noise=_noise(finite[:_FIRST]),
        late_fall=_log_ratio(finite[quarter : 2 * quarter], finite[-quarter:]),
    )


def _start(losses: np.ndarray) -> float:
    """The first loss, or the median of the first few if that is another by chance alone: single batches differ."""
    first, median = float(losses[0]), float(np.median(losses[:5]))
    by_chance = min(3 * _noise(losses[:10]), 0.2 * abs(first))
    return median if abs(first - median) <= by_chance else first


def _usual(losses: np.ndarray) -> float:
    """Six standard deviations above the median, told by the median of the differences, which a few spikes do not change."""
    median = np.median(losses)
    return float(median + 6 * 1.48 * np.median(np.abs(losses - median)))


def _noise(losses: np.ndarray) -> float:
    """How much losses differ from step to step, beside what they fall or rise by on the way."""
    return float(np.std(np.diff(losses)) / 2**0.5) if len(losses) > 2 else 0.0


def _log_ratio(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """log(mean before / mean after), with its standard error; of losses that may be 0 or negative none is known."""
    if not len(before) or before.mean() <= 0 or after.mean() <= 0:
        return 0.0, np.inf
    errors = [part.std() / part.mean() / len(part) ** 0.5 for part in (before, after)]
    return float(np.log(before.mean() / after.mean())), float(np.hypot(*errors))
