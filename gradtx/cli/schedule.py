"""Print, or draw, what schedules give at some steps."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from gradtx import Schedule, pictures
from gradtx.cli.arguments import CommandError, picture_file, whole_number
from gradtx.cli.factories import call, calls_in, known_schedules, named, word, written
from gradtx.inspection.summary_text import aligned

SOME_STEPS = (0, 1, 10, 100, 1000, 10000)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `gradtx schedule`."""
    parser.usage = "%(prog)s [-h] [NAME [ARGUMENT=VALUE ...] ...] [--steps N [N ...]] [--plot FILE]"
    parser.add_argument(
        "words",
        type=word,
        nargs="*",
        metavar="NAME ARGUMENT=VALUE",
        help="a schedule and what it takes, such as decay_steps=1000, and then others; without any, all names are listed",
    )
    parser.add_argument(
        "--steps",
        type=whole_number(0, 2**31 - 1),
        nargs="+",
        default=SOME_STEPS,
        metavar="N",
        help=f"where to print its value; the first step is 0 ({' '.join(map(str, SOME_STEPS))})",
    )
    parser.add_argument(
        "--plot", type=picture_file, metavar="FILE", help="draw them as PNG, SVG or PDF, from step 0 to the last of the steps"
    )


def run(arguments: Namespace) -> None:
    """List the schedules, or print the values of some and draw them."""
    known = known_schedules()
    if not arguments.words:
        print("\n".join(known))
        return
    if arguments.plot and max(arguments.steps) == 0:
        raise CommandError("argument --plot: from step 0 to step 0 there is nothing to draw; give --steps a larger one, too")
    calls = calls_in("a schedule", arguments.words)
    titles = [written(name, assignments) for name, assignments in calls]
    schedules = [call(name, named("schedule", name, known), assignments) for name, assignments in calls]
    values = [_values(schedule, arguments.steps) for schedule in schedules]
    print("\n".join([*_numbered(titles), "", *_table(arguments.steps, values)]))
    if arguments.plot:
        _draw(arguments.plot, titles, schedules, max(arguments.steps))


def _numbered(titles: Sequence[str]) -> list[str]:
    return list(titles) if len(titles) == 1 else [f"{number}  {title}" for number, title in enumerate(titles, 1)]


def _values(schedule: Schedule, steps: Sequence[int]) -> np.ndarray:
    try:
        return np.asarray(schedule(jnp.asarray(steps, jnp.int32)))
    except (TypeError, ValueError) as error:
        raise CommandError(f"these arguments make no schedule: {' '.join(str(error).split())}") from error


def _table(steps: Sequence[int], values: Sequence[np.ndarray]) -> list[str]:
    heads = ["value"] if len(values) == 1 else [str(number) for number, _ in enumerate(values, 1)]
    rows = [("step", *heads)]
    rows += [(str(step), *(f"{value:.6g}" for value in at_step)) for step, *at_step in zip(steps, *values, strict=True)]
    return [line.rstrip() for line in aligned(rows, right=(0,))]


def _draw(path: Path, titles: Sequence[str], schedules: Sequence[Schedule], last: int) -> None:
    try:
        from gradtx.cli import picture
    except ModuleNotFoundError as error:
        raise CommandError(f'{error.name} is not installed: pip install "gradtx[demo]"') from None
    steps = pictures.steps_until(last)
    picture.save_schedules(path, titles, steps, [_values(schedule, steps.tolist()) for schedule in schedules])
    print(f"\nwrote {path}")
