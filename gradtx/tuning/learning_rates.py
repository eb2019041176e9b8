"""What a search for a learning rate has found."""

import dataclasses
import html
from typing import Any

import numpy as np

from gradtx.pictures import COLORS, new_axes


@dataclasses.dataclass(frozen=True, eq=False)
class LearningRates:
    """Learning rates that were tried, and the one to take. `print` shows them, `plot` draws them, notebooks do both.

    Attributes:
      method: "race" or "range".
      rates: those of a race, or of each step of a range test.
      losses: the smoothed loss at the end of each run of a race, or after each step; NaN where it has exploded.
      suggestion: the rate to take.
      why: a sentence.
      flat: the least and the largest rate around the best that come nearly as far: 98 % of the way from the first loss to the
        least, on straight lines between the rates that were tried. The farther apart they are, the less the rate matters.
      curves: of a race the smoothed loss at each step, a row for each rate; else None.
    """

    method: str
    rates: np.ndarray
    losses: np.ndarray
    suggestion: float
    why: str
    flat: tuple[float, float]
    curves: np.ndarray | None = None

    def __str__(self) -> str:
        rows = [f"{rate:10.2e}  {_number(loss)}  {bar}" for rate, loss, bar in zip(*self._shown(), strict=True)]
        return "\n".join([f"{'rate':>10}  {'loss':>9}", *rows, "", self.why])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _shown(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """At most twenty rates, their losses, and bars that are longest for the least loss."""
        chosen = np.unique(np.linspace(0, len(self.rates) - 1, min(20, len(self.rates))).astype(int))
        rates, losses = self.rates[chosen], self.losses[chosen]
        least, largest = np.nanmin(losses), np.nanmax(losses)
        shares = (largest - losses) / max(largest - least, 1e-30)
        return rates, losses, ["" if np.isnan(share) else "#" * (1 + round(29 * share)) for share in shares]

    def plot(self, axes: Any = None) -> Any:
        """Draw the losses over the rates with matplotlib, the suggestion, and where it matters little; return the axes.

        Args:
          axes: of a figure; by default those of a new one.

        Raises:
          ImportError: matplotlib is not installed.
        """
        axes = new_axes() if axes is None else axes
        axes.plot(self.rates, self.losses, ".-" if self.method == "race" else "-", color=COLORS[0])
        axes.axvspan(*self.flat, color=COLORS[2], alpha=0.15, linewidth=0, label="nearly as far as the best")
        axes.axvline(self.suggestion, color=COLORS[3], label=f"suggestion: {self.suggestion:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="smoothed loss")
        axes.legend(frameon=False)
        return axes


def _number(loss: float) -> str:
    return f"{'exploded':>9}" if np.isnan(loss) else f"{loss:9.4g}"
