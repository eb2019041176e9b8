"""Print, or draw, what a schedule gives at some steps."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from gradtx import Schedule
from gradtx.cli.arguments import CommandError, png_file, whole_number
from gradtx.cli.factories import assignment, call, known_schedules, named, written

POINTS = 2001  # of a curve, more than a picture has pixels
SOME_STEPS = (0, 1, 10, 100, 1000, 10000)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `gradtx schedule`."""
    parser.usage = "%(prog)s [-h] [NAME [ARGUMENT=VALUE ...]] [--steps N [N ...]] [--plot FILE]"
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the schedule; without it, all names are listed")
    parser.add_argument(
        "arguments", type=assignment, nargs="*", metavar="ARGUMENT=VALUE", help="what it takes, such as decay_steps=1000"
    )
    parser.add_argument(
        "--steps",
        type=whole_number(0, 2**31 - 1),
        nargs="+",
        default=SOME_STEPS,
        metavar="N",
        help=f"where to print its value; the first step is 0 ({' '.join(map(str, SOME_STEPS))})",
    )
    parser.add_argument("--plot", type=png_file, metavar="FILE", help="draw it, from step 0 to the last of the steps")


def run(arguments: Namespace) -> None:
    """List the schedules, or print the values of one and draw it."""
    known = known_schedules()
    if arguments.name is None:
        print("\n".join(known))
        return
    schedule = call(arguments.name, named("schedule", arguments.name, known), arguments.arguments)
    values = _values(schedule, arguments.steps)
    title = written(arguments.name, arguments.arguments)
    print(f"{title}\n\n{_table(arguments.steps, values)}")
    if arguments.plot:
        _draw(arguments.plot, title, schedule, max(arguments.steps))


def _values(schedule: Schedule, steps: Sequence[int]) -> np.ndarray:
    try:
        return np.asarray(schedule(jnp.asarray(steps, jnp.int32)))
    except (TypeError, ValueError) as error:
        raise CommandError(f"these arguments make no schedule: {' '.join(str(error).split())}") from error


def _table(steps: Sequence[int], values: np.ndarray) -> str:
    width = max(len("step"), *(len(str(step)) for step in steps))
    rows = [f"{step:>{width}}  {value:.6g}" for step, value in zip(steps, values, strict=True)]
    return "\n".join([f"{'step':>{width}}  value", *rows])


def _draw(path: Path, title: str, schedule: Schedule, last: int) -> None:
    try:
        from gradtx.cli import picture
    except ModuleNotFoundError as error:
        raise CommandError(f'{error.name} is not installed: pip install "gradtx[demo]"') from None
    steps = np.unique(np.linspace(0, last, POINTS).round().astype(int))
    picture.save_schedule(path, title, steps, _values(schedule, steps.tolist()))
    print(f"\nwrote {path}")
