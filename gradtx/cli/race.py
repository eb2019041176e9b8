"""Let optimizers race on a task: each with its learning rate tuned by the same budget, from several seeds."""

import inspect
import math
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any

from gradtx import GradientTransformation, Schedule, constant_schedule
from gradtx.cli.arguments import CommandError, output_file, picture_file, positive_number, whole_number
from gradtx.cli.factories import Word, call, calls_in, known_optimizers, named, word, written
from gradtx.cli.race_runs import Entrant, Race, Result, Rules, Trainer, result_of
from gradtx.cli.tasks import TASKS, Task

ENTRANTS = ("adamw", "sgd", ("momentum", 0.9), "lion", "muon")
REFERENCE = "adamw"
RATES = (1e-5, 10.0)

DETAILS = """
Each optimizer takes the same number of runs to tune its learning rate, --budget: two thirds at rates in equal ratios, the
others near the best of them, by the held-out loss at the end of a run on a seed of its own. At the best rate it then runs
from the other seeds. The rate falls to 0 along a cosine; schedule-free optimizers hold it. What is compared is how many steps
and seconds it takes to get the held-out loss down to a target, and what it is at the end. Compiling and evaluating do not
count in the seconds. But for the seconds, equal commands give equal numbers.

example:
  gradtx race digits --optimizers adamw sgd momentum=0.9 muon --plot race.png
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `gradtx race`."""
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.epilog = "tasks:\n" + "".join(f"  {name:12}{_first_line(make)}\n" for name, make in TASKS.items()) + DETAILS
    parser.add_argument("task", metavar="TASK", help=f"what to train: {', '.join(TASKS)}")
    parser.add_argument(
        "--optimizers",
        type=_words,
        nargs="+",
        metavar="NAME",
        default=[ENTRANTS],
        help="such as adamw,lion,muon, or with arguments: adamw b2=0.99 sgd momentum=0.9 (adamw sgd momentum=0.9 lion muon)",
    )
    parser.add_argument("--budget", type=whole_number(2), default=10, metavar="N", help="runs to tune each (%(default)s)")
    parser.add_argument("--seeds", type=whole_number(1), default=3, metavar="N", help="runs to compare of each (%(default)s)")
    parser.add_argument("--steps", type=whole_number(1), metavar="N", help="of a run (by default what the task says)")
    parser.add_argument(
        "--rates",
        type=positive_number,
        nargs=2,
        default=RATES,
        metavar=("LOW", "HIGH"),
        help=f"the least and the largest learning rate ({RATES[0]:g} {RATES[1]:g})",
    )
    parser.add_argument(
        "--target",
        type=positive_number,
        metavar="LOSS",
        help=f"the held-out loss to reach (by default what {REFERENCE} reaches from every seed)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, 2**31),
        default=0,
        metavar="N",
        help="of tuning; the next ones are compared (%(default)s)",
    )
    parser.add_argument("--plot", type=picture_file, metavar="FILE", help="draw the losses, and the steps to the target")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all numbers")


def run(arguments: Namespace) -> None:
    """Tune and run each optimizer, print the table, draw the picture."""
    if arguments.task not in TASKS:
        raise CommandError(f"unknown task {arguments.task!r}; tasks are {', '.join(TASKS)}")
    if arguments.rates[0] >= arguments.rates[1]:
        raise CommandError(f"argument --rates: LOW must be below HIGH, got {' '.join(f'{rate:g}' for rate in arguments.rates)}")
    entrants = _entrants([each for words in arguments.optimizers for each in words])
    if arguments.target is None and all(entrant.name != REFERENCE for entrant in entrants):
        entrants = [*_entrants([REFERENCE]), *entrants]
    try:
        from gradtx.cli import race_picture, race_report, report

        task = TASKS[arguments.task]()
    except ModuleNotFoundError as error:
        raise CommandError(f'{error.name} is not installed: pip install "gradtx[demo]"') from None

    rules = Rules(
        steps=arguments.steps or task.num_steps,
        budget=arguments.budget,
        rates=tuple(arguments.rates),
        tuning_seed=arguments.seed,
        seeds=range(arguments.seed + 1, arguments.seed + 1 + arguments.seeds),
    )
    trainers = [_trainer(task, entrant, rules.steps) for entrant in entrants]
    with report.progress() as bars:
        moves = [report.bar(bars, entrant.name, arguments.budget + arguments.seeds) for entrant in entrants]
        results = [result_of(trainer, rules, move) for trainer, move in zip(trainers, moves, strict=True)]
    race = Race(arguments.task, rules, arguments.target or _loss_of_reference(results), results)
    race_report.print_race(race, f"that {REFERENCE} reaches from every seed" if arguments.target is None else "as given")
    if arguments.json:
        race_report.write_json(arguments.json, race)
    if arguments.plot:
        race_picture.save_race(arguments.plot, race, task)


def _words(text: str) -> list[Word]:
    """Parse names with commas between them, or one argument."""
    parts = [text] if "=" in text else [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise ArgumentTypeError(f"must be names of optimizers, got {text!r}")
    return [word(part) for part in parts]


def _entrants(words: Sequence[Word]) -> list[Entrant]:
    """The optimizers in order, each once."""
    entrants = [_entrant(name, assignments) for name, assignments in calls_in("an optimizer", words)]
    return list({entrant.name: entrant for entrant in entrants}.values())


def _entrant(name: str, assignments: list[tuple[str, Any]]) -> Entrant:
    factory = named("optimizer", name, known_optimizers())
    rates = [argument for argument in ("learning_rate", "lr") if argument in inspect.signature(factory).parameters]
    if not rates:
        raise CommandError(f"{name} has no learning rate, and a race tunes that")
    if given := [argument for argument, _ in assignments if argument == rates[0]]:
        raise CommandError(f"{name}: the race tunes {given[0]}; leave it out, or set its range by --rates")

    def make(schedule: Schedule) -> GradientTransformation:
        return call(name, factory, [*assignments, (rates[0], schedule)])

    make(constant_schedule(1.0))  # what it cannot be called with is refused before the data are loaded
    shown = written(name, assignments) if assignments else name
    return Entrant(shown, make, holds_rate="schedule_free" in name)


def _trainer(task: Task, entrant: Entrant, steps: int) -> Trainer:
    try:
        return Trainer(task, entrant, steps)
    except (TypeError, ValueError) as error:
        raise CommandError(f"{entrant.name}: {' '.join(str(error).split())}") from error


def _loss_of_reference(results: Sequence[Result]) -> float:
    [reference] = [result for result in results if result.entrant.name == REFERENCE]
    loss = max(run.last_loss for run in reference.runs)
    if loss == math.inf:
        raise CommandError(f"{REFERENCE}, whose loss is the target, has exploded; give another target by --target")
    return loss


def _first_line(function: Any) -> str:
    return function.__doc__.partition("\n")[0]
