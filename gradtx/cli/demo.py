"""Train a small network on handwritten digits with several optimizers, and compare them."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping
from typing import NamedTuple

import gradtx
from gradtx import GradientTransformation, Schedule
from gradtx.cli.arguments import CommandError, picture_file, positive_number, whole_number


class Contender(NamedTuple):
    """An optimizer, made from its schedule, and its learning rate as a multiple of `--learning-rate`."""

    make: Callable[[Schedule], GradientTransformation]
    factor: float


OPTIMIZERS: Mapping[str, Contender] = {
    "sgd": Contender(lambda schedule: gradtx.sgd(schedule, momentum=0.9, nesterov=True), 30),
    "rmsprop": Contender(lambda schedule: gradtx.rmsprop(schedule), 0.5),
    "adam": Contender(lambda schedule: gradtx.adam(schedule), 1),
    "adamw": Contender(lambda schedule: gradtx.adamw(schedule, weight_decay=0.1), 1),
    "lion": Contender(lambda schedule: gradtx.lion(schedule, weight_decay=0.3), 0.1),
}


def warmup_cosine(peak: float, steps: int) -> Schedule:
    """Return the schedule of all: a tenth of the steps up to the peak, the rest down to zero along a cosine."""
    return gradtx.warmup_cosine_decay_schedule(0.0, peak, warmup_steps=steps // 10, decay_steps=steps)


def compose(name: str, learning_rate: float, steps: int) -> GradientTransformation:
    """Return the named optimizer, which sees gradients of norm 1 at most."""
    make, factor = OPTIMIZERS[name]
    return gradtx.chain(gradtx.clip_by_global_norm(1.0), make(warmup_cosine(factor * learning_rate, steps)))


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `gradtx demo`."""
    parser.add_argument(
        "--optimizers",
        type=_names,
        nargs="+",
        action="extend",
        metavar="NAME",
        help=f"which to compare, with commas or spaces between: {', '.join(OPTIMIZERS)} (default: all)",
    )
    parser.add_argument("--epochs", type=whole_number(1), default=30, metavar="N", help="passes over the data (%(default)s)")
    parser.add_argument("--batch-size", type=whole_number(1), default=32, metavar="N", help="digits a step (%(default)s)")
    parser.add_argument(
        "--learning-rate",
        type=positive_number,
        default=3e-3,
        metavar="X",
        help="Adam's at the peak of the schedule; the others take multiples of it (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=whole_number(0, 2**32 - 1), default=0, metavar="N", help="of data, network and batches (%(default)s)"
    )
    parser.add_argument(
        "--output",
        type=picture_file,
        default="gradtx-demo.png",
        metavar="FILE",
        help="where the picture goes: a PNG, an SVG or a PDF (%(default)s)",
    )


def run(arguments: Namespace) -> None:
    """Train with each optimizer, print the table, draw the picture."""
    try:
        from gradtx.cli import digits, report, training
    except ModuleNotFoundError as error:
        raise CommandError(f'{error.name} is not installed: pip install "gradtx[demo]"') from None

    data = digits.load(arguments.seed)
    size = len(data[0].labels)
    if arguments.batch_size > size:
        raise CommandError(f"argument --batch-size: must be at most {size}, the digits there are, got {arguments.batch_size}")
    steps = arguments.epochs * (size // arguments.batch_size)

    results = {}
    with report.progress() as bars:
        for name in _flat(arguments.optimizers or [list(OPTIMIZERS)]):
            results[name] = training.train(
                compose(name, arguments.learning_rate, steps),
                data,
                epochs=arguments.epochs,
                batch_size=arguments.batch_size,
                seed=arguments.seed,
                on_epoch=report.bar(bars, name, arguments.epochs),
            )
    report.print_table(results, {name: OPTIMIZERS[name].factor * arguments.learning_rate for name in results})
    report.save_picture(arguments.output, results, warmup_cosine(1.0, steps))


def _names(text: str) -> list[str]:
    """Parse names of optimizers with commas between them."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names or [text] if name not in OPTIMIZERS]:
        raise ArgumentTypeError(f"unknown optimizer {unknown[0]!r}; known are {', '.join(OPTIMIZERS)}")
    return names


def _flat(groups: list[list[str]]) -> list[str]:
    """The names in order, each once."""
    return list(dict.fromkeys(name for group in groups for name in group))
