"""What pictures look like, and the picture of a schedule."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, FAINT = "#333333", "#DDDDDD"


def tidy(axes: Axes) -> None:
    """Leave of the frame what helps to read a value."""
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, which="both", length=0)


def save_schedule(path: Path, title: str, steps: np.ndarray, values: np.ndarray) -> None:
    """Draw the values of a schedule, with the call that made it above them."""
    figure = Figure(figsize=(9, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.fill_between(steps, values, color=FAINT)
    axes.plot(steps, values, color=INK, linewidth=1.5)
    axes.set(xlabel="step", ylabel="value", xlim=(0, max(steps[-1], 1)))
    axes.set_title(textwrap.fill(title, 100), loc="left", color=INK, fontsize="medium")
    tidy(axes)
    figure.savefig(path, format="png")
