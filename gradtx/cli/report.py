"""What `gradtx demo` shows: progress while it runs, then a table and a picture."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from gradtx import Schedule
from gradtx.cli.picture import save
from gradtx.cli.training import Result
from gradtx.pictures import COLORS, FAINT, INK, tidy


def progress() -> Progress:
    """Return a display of progress bars, empty where stderr is not a terminal."""
    console = Console(stderr=True)
    columns = [
        TextColumn("{task.description:8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
    ]
    return Progress(*columns, console=console, disable=not console.is_terminal)


def bar(bars: Progress, name: str, epochs: int) -> Callable[[float], None]:
    """Add a bar and return the function that moves it on by one epoch."""
    task = bars.add_task(name, total=epochs, status="compiling")
    return lambda loss: bars.update(task, advance=1, status=f"loss {loss:.4f}")


def print_table(results: Mapping[str, Result], learning_rates: Mapping[str, float]) -> None:
    """Print one row for each optimizer."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
    table.add_column("optimizer")
    for header in ("learning rate", "test accuracy", "test loss", "time per step", "state size"):
        table.add_column(header, justify="right")
    for name, result in results.items():
        table.add_row(
            name,
            f"{learning_rates[name]:.3g}",
            f"{result.test_accuracy:.2%}",
            f"{result.test_loss:.3g}",
            f"{1e3 * result.seconds_per_step:.2f} ms",
            decimal(result.state_bytes),
        )
    Console().print(table)


def save_picture(path: Path, results: Mapping[str, Result], schedule: Schedule) -> None:
    """Draw the losses in training and test and, below, the schedule they share, and say where the picture is."""
    figure = Figure(figsize=(9, 6.5), dpi=150, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    steps = max(len(result.losses) for result in results.values())
    _draw_losses(above, results)
    _draw_schedule(below, np.asarray(jax.vmap(schedule)(jnp.arange(steps))))
    save(figure, path)
    Console().print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)


def _draw_losses(axes: Axes, results: Mapping[str, Result]) -> None:
    for color, (name, result) in zip(COLORS, results.items(), strict=False):
        label = f"{name}, {result.test_accuracy:.1%}"
        axes.plot(_smooth(result.losses), color=color, linewidth=1.8, label=label)
        axes.plot(len(result.losses) - 1, _smooth(result.losses)[-1], "o", color=color, markersize=5, clip_on=False)
        ends = np.linspace(0, len(result.losses), len(result.test_losses) + 1)[1:] - 1  # of the epochs
        axes.plot(ends, result.test_losses, ".:", color=color, linewidth=1.2, markersize=3, clip_on=False)
    axes.set(yscale="log", ylabel="loss")
    axes.set_title("Handwritten digits", loc="left", color=INK, fontweight="bold")
    kinds = [
        Line2D([], [], color=INK, linewidth=1.8, label="training (moving mean)"),
        Line2D([], [], color=INK, linewidth=1.2, linestyle=":", marker=".", markersize=3, label="test, after each epoch"),
    ]
    axes.add_artist(axes.legend(handles=kinds, frameon=False, labelcolor=INK, loc="lower left"))
    axes.legend(frameon=False, labelcolor="linecolor", title="test accuracy", alignment="left", loc="upper right")
    tidy(axes)


def _draw_schedule(axes: Axes, learning_rates: np.ndarray) -> None:
    axes.fill_between(range(len(learning_rates)), learning_rates, color=FAINT)
    axes.plot(learning_rates, color=INK, linewidth=1.5)
    axes.set(xlabel="step", ylabel="learning rate / peak", xlim=(0, max(len(learning_rates) - 1, 1)))
    axes.set_ylim(bottom=0)
    tidy(axes)


def _smooth(losses: np.ndarray, share: float = 0.03) -> np.ndarray:
    """The geometric mean over a window of the given share of the run, narrower at its ends."""
    window = np.ones(max(1, round(share * len(losses))))
    logs = np.log(np.maximum(losses, 1e-12))
    return np.exp(np.convolve(logs, window, "same") / np.convolve(np.ones_like(logs), window, "same"))
