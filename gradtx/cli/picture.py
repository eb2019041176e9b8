"""The picture of schedules, and how a picture is written."""

import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from gradtx.cli.arguments import picture_format
from gradtx.pictures import COLORS, FAINT, INK, tidy


def save(figure: Figure, path: Path) -> None:
    """Write a picture in the format that the suffix of its path says."""
    figure.savefig(path, format=picture_format(path))


def save_schedules(path: Path, titles: Sequence[str], steps: np.ndarray, values: Sequence[np.ndarray]) -> None:
    """Draw the values of schedules, with the calls that made them above them."""
    figure = Figure(figsize=(9, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    if len(values) == 1:
        axes.fill_between(steps, values[0], color=FAINT)
        axes.plot(steps, values[0], color=INK, linewidth=1.5)
        axes.set_title(textwrap.fill(titles[0], 100), loc="left", color=INK, fontsize="medium")
    else:
        looks = itertools.cycle(itertools.product(("-", "--", ":"), COLORS))
        for title, curve, (style, color) in zip(titles, values, looks, strict=False):
            axes.plot(steps, curve, style, color=color, linewidth=1.5, label=textwrap.fill(title, 110))
        figure.legend(loc="outside upper left", frameon=False, labelcolor="linecolor")
    axes.set(xlabel="step", ylabel="value", xlim=(0, max(steps[-1], 1)))
    tidy(axes)
    save(figure, path)
