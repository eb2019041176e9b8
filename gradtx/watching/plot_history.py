"""Draw the record of a run."""

import itertools
from typing import Any

import numpy as np

from gradtx.pictures import COLORS, new_figure, tidy
from gradtx.watching.history import History

# What is drawn, below one another, and whether in equal ratios.
_PANELS = {
    "loss": False, "learning_rate": False, "gradient_norm": True, "clip_factor": False, "update_ratio": True,
    "rounded_away": False, "nonfinite": False,
}  # fmt: skip


def plot_history(history: History) -> Any:
    """Draw the record of a run with matplotlib: loss, learning rate, norms by group, clipping; return the figure.

    What was never measured, or was always 0, as the share of non-finite entries should be, is left out.

    Args:
      history: what `history(state)` returns.

    Raises:
      ImportError: matplotlib is not installed.
    """
    panels = {name: curves for name in _PANELS if (curves := _worth_drawing(history.of_groups(name)))}
    figure = new_figure((7, 1.2 + 1.6 * len(panels)))
    all_axes = figure.subplots(max(len(panels), 1), sharex=True, squeeze=False)[:, 0]
    for axes, (name, curves) in zip(all_axes, panels.items(), strict=False):
        for (group, curve), color in zip(curves.items(), itertools.cycle(COLORS)):
            axes.plot(history["step"], curve, color=color, label=group, linewidth=1.8 if group == "all" else 1.0)
        axes.set(ylabel=name.replace("_", " "), yscale="log" if _PANELS[name] else "linear")
        tidy(axes)
        if len(curves) > 1:
            axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    all_axes[-1].set_xlabel("step")
    return figure


def _worth_drawing(curves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {group: curve for group, curve in curves.items() if np.any(np.nan_to_num(curve) != 0)}
