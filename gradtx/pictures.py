"""What pictures look like. matplotlib draws them, and is loaded when the first is drawn: nothing else needs it."""

import importlib
from typing import Any

import numpy as np

INK, FAINT = "#333333", "#DDDDDD"
# Okabe and Ito's colors, which color-blind readers tell apart: https://jfly.uni-koeln.de/color/
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")

_POINTS = 2001  # of a curve, more than a picture has pixels


def new_axes() -> Any:
    """Return the axes of a new figure.

    Raises:
      ImportError: matplotlib is not installed.
    """
    return new_figure().subplots()


def new_figure(size: tuple[float, float] | None = None) -> Any:
    """Return a new figure, of a width and a height in inches.

    Raises:
      ImportError: matplotlib is not installed.
    """
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ImportError("plot needs matplotlib: pip install matplotlib.") from error
    return pyplot.figure(figsize=size, layout="constrained")


def steps_until(last: int) -> np.ndarray:
    """Return the steps at which a curve from step 0 to another is drawn: all, or as many as a picture shows."""
    return np.unique(np.linspace(0, last, _POINTS).round().astype(int))


def tidy(axes: Any) -> None:
    """Leave of the frame what helps to read a value."""
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, which="both", length=0)
