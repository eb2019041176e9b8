"""Race modern optimizers on characters: `OPENBLAS_NUM_THREADS=1 python tests/benchmarks/modern.py`.

The rules are those of `gradtx race`, whose words do not reach as far as wrappers and grafts: each optimizer has its rate tuned
by the same number of runs, and then runs from three seeds. What counts is how many steps it takes to AdamW's last loss.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import gradtx
from gradtx.cli.race import RATES
from gradtx.cli.race_runs import Entrant, Result, Rules, Trainer, result_of
from gradtx.cli.tasks import TASKS


def cautious_adamw(rate: Any) -> gradtx.GradientTransformation:
    direction = gradtx.cautious(gradtx.scale_by_adam())
    return gradtx.chain(direction, gradtx.add_decayed_weights(1e-4), gradtx.scale_by_learning_rate(rate))


def shampoo(rate: Any) -> gradtx.GradientTransformation:
    """Adam's size, Shampoo's direction."""
    grafting = gradtx.scale_by_adam(0.9, 0.999)
    return gradtx.distributed_shampoo(rate, b2=0.95, eps=1e-8, weight_decay=1e-4, grafting=grafting, every=10)


ENTRANTS: dict[str, Callable[[Any], gradtx.GradientTransformation]] = {
    "AdamW": gradtx.adamw,
    "Muon": gradtx.muon,
    "NorMuon": gradtx.normuon,
    "SOAP": gradtx.soap,
    "KL-SOAP": gradtx.kl_soap,
    "Shampoo, grafted to Adam": shampoo,
    "Kron": gradtx.kron,
    "Dion": gradtx.dion,
    "MARS-AdamW": gradtx.mars_adamw,
    "cautious AdamW": cautious_adamw,
    "Schedule-Free AdamW": gradtx.schedule_free_adamw,
}


def race(names: list[str], seeds: int, budget: int) -> list[Result]:
    task = TASKS["characters"]()
    rules = Rules(task.num_steps, budget, RATES, 0, range(1, 1 + seeds))
    results = []
    for name in track(names, transient=True):
        trainer = Trainer(task, Entrant(name, ENTRANTS[name], holds_rate="Schedule-Free" in name), rules.steps)
        results.append(result_of(trainer, rules, lambda loss: None))
    return results


def table(results: list[Result]) -> Table:
    target = max(run.last_loss for run in results[0].runs)
    needed = {each.entrant.name: np.median([run.until(target)[0] for run in each.runs]) for each in results}
    result = Table(title=f"Characters: steps to {target:.3f}, which {results[0].entrant.name} reaches from every seed")
    for column in ["", "rate", "steps", "of the first's", "last loss", "ms a step", "state B a parameter"]:
        result.add_column(column, justify="left" if column == "" else "right")
    for each in results:
        steps = needed[each.entrant.name]
        seconds = np.median([run.seconds[-1] / run.steps[-1] for run in each.runs])
        last = np.mean([run.last_loss for run in each.runs])
        share = steps / needed[results[0].entrant.name]
        result.add_row(
            each.entrant.name,
            f"{each.rate:.3g}{' (at an end)' if each.at_an_end else ''}",
            f"{steps:.0f}",
            f"{share:.2f}",
            f"{last:.3f}",
            f"{1e3 * seconds:.1f}",
            f"{each.state_bytes_per_parameter:.1f}",
        )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizers", nargs="+", default=list(ENTRANTS), choices=list(ENTRANTS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=10)
    given = parser.parse_args()
    start = time.perf_counter()
    Console().print(table(race(given.optimizers, given.seeds, given.budget)))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
