"""The picture of `gradtx race`: losses over steps, steps to the target, and the paths on a function of two numbers."""

import itertools
import math
from pathlib import Path

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from gradtx.cli.picture import COLORS, FAINT, INK, save, tidy
from gradtx.cli.race_report import median, spread
from gradtx.cli.race_runs import Race, Result
from gradtx.cli.tasks import Task


def save_race(path: Path, race: Race, task: Task) -> None:
    """Draw a race, and say where the picture is."""
    panels = 3 if task.frame else 2
    figure = Figure(figsize=(5 * panels, 4.5), dpi=150, layout="constrained")
    losses, steps, *paths = figure.subplots(1, panels)
    looks = list(itertools.islice(itertools.cycle(COLORS), len(race.results)))
    _draw_losses(losses, race, looks)
    _draw_steps(steps, race, looks)
    for axes in paths:
        _draw_paths(axes, race, task, looks)
    save(figure, path)
    Console().print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)


def _draw_losses(axes: Axes, race: Race, colors: list[str]) -> None:
    for color, result in zip(colors, race.results, strict=True):
        losses = np.maximum([run.losses for run in result.runs], 1e-12)  # the axis is logarithmic
        steps = result.runs[0].steps
        axes.plot(
            steps, np.median(losses, axis=0), color=color, linewidth=1.8, label=f"{result.entrant.name}, {result.rate:.2g}"
        )
        axes.fill_between(steps, losses.min(axis=0), losses.max(axis=0), color=color, alpha=0.15, linewidth=0)
    first = max(run.losses[0] for result in race.results for run in result.runs)
    axes.set(yscale="log", xlabel="step", ylabel="held-out loss")
    axes.set_ylim(top=min(axes.get_ylim()[1], 10 * first))  # beyond, what explodes would flatten all others
    axes.axhline(race.target, color=INK, linewidth=1, linestyle=":")
    axes.set_title(f"{race.task}: median and range of {len(race.rules.seeds)} seeds", loc="left", color=INK, fontsize="medium")
    axes.legend(frameon=False, labelcolor="linecolor", title="learning rate", alignment="left")
    tidy(axes)


def _draw_steps(axes: Axes, race: Race, colors: list[str]) -> None:
    """A dot for each seed, and a bar to their median; what never got there has a cross at the end."""
    end = race.rules.steps
    for row, (color, result) in enumerate(zip(colors, race.results, strict=True)):
        steps = [run.until(race.target)[0] for run in result.runs]
        axes.barh(row, min(median(steps), end), height=0.25, color=color, alpha=0.25 if median(steps) < math.inf else 0.08)
        for each in steps:
            axes.plot(min(each, end), row, "o" if each < math.inf else "x", color=color, markersize=5, clip_on=False)
        middle, between = spread(steps, lambda value: f"{value:.0f}")
        text = f"{result.entrant.name}: {middle}" + (f" ({between})" if between else "")
        axes.text(0.01 * end, row - 0.3, text, color=INK, va="center", fontsize="small")
    axes.set(xlabel="steps", xlim=(0, end), ylim=(len(race.results) - 0.5, -0.7), yticks=[])
    axes.set_title(f"steps to a held-out loss of {race.target:.3g}", loc="left", color=INK, fontsize="medium")
    tidy(axes)


def _draw_paths(axes: Axes, race: Race, task: Task, colors: list[str]) -> None:
    """The function, darker where it is less, and on it the path of the first run of each."""
    assert task.frame is not None
    left, right, bottom, top = task.frame
    x, y = np.meshgrid(np.linspace(left, right, 300), np.linspace(bottom, top, 300))
    values = jax.vmap(task.held_out_loss)(np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float32))
    heights = np.log(np.maximum(np.asarray(values), 1e-3)).reshape(x.shape)
    axes.contour(x, y, heights, levels=14, colors=FAINT, linewidths=0.8, linestyles="solid")
    for color, result in zip(colors, race.results, strict=True):
        _draw_path(axes, result, color)
    axes.set(xlim=(left, right), ylim=(bottom, top), xlabel="x", ylabel="y")
    axes.set_title(f"paths from seed {race.rules.seeds[0]}", loc="left", color=INK, fontsize="medium")
    tidy(axes)


def _draw_path(axes: Axes, result: Result, color: str) -> None:
    points = result.runs[0].points
    assert points is not None
    axes.plot(*points.T, ".-", color=color, linewidth=1, markersize=3)
    axes.plot(*points[-1], "*", color=color, markersize=12, markeredgecolor="white")
