"""What is read from a loss curve before it is judged."""

from typing import NamedTuple

import numpy as np

_PARTS = 20  # a mean is one of a twentieth of the run


class LossCurve(NamedTuple):
    """A loss curve in a few numbers.

    - `steps`: how many losses there are that are finite, from the first on;
    - `nonfinite`: the step of the first that is not; None if all are;
    - `start`: the first loss;
    - `end`, `least`: means of a twentieth of the run, the last and the least;
    - `peak`: the largest loss;
    - `peak_at`: where that is, as a share of the run;
    - `half_at`: the share of the run after which half of the way from the start to the end was done;
    - `noise`: how much losses differ from step to step in the last quarter;
    - `late_fall`: the logarithm of the mean of the second quarter over that of the last, and its standard error.
    """

    steps: int
    nonfinite: int | None
    start: float
    end: float
    least: float
    peak: float
    peak_at: float
    half_at: float
    noise: float
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
    start, end = float(finite[0]), float(means[-1])
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
        half_at=float(done[0] / number) if len(done) else 1.0,
        noise=float(np.std(np.diff(finite[-quarter:])) / 2**0.5) if quarter > 2 else 0.0,
        late_fall=_log_ratio(finite[quarter : 2 * quarter], finite[-quarter:]),
    )


def _log_ratio(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """log(mean before / mean after), with its standard error; of losses that may be 0 or negative none is known."""
    if not len(before) or before.mean() <= 0 or after.mean() <= 0:
        return 0.0, np.inf
    errors = [part.std() / part.mean() / len(part) ** 0.5 for part in (before, after)]
    return float(np.log(before.mean() / after.mean())), float(np.hypot(*errors))
