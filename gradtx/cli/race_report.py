"""What `gradtx race` says of a race: a table, and a file with all numbers."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from gradtx.cli.race_runs import Race, Result, Run


def print_race(race: Race, target: str) -> None:
    """Print one row for each optimizer, and below how it was found; `target` says where the target comes from."""
    console = Console()
    console.print(_table(race))
    for line in [*_notes(race, target), *_warnings(race)]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def write_json(path: Path, race: Race) -> None:
    """Write all numbers, with null for what has exploded or was never reached, and say where the file is."""
    rules = race.rules._asdict() | {"seeds": list(race.rules.seeds)}
    written = {
        "task": race.task,
        **rules,
        "target": race.target,
        "optimizers": {result.entrant.name: _numbers(result, race.target) for result in race.results},
    }
    path.write_text(json.dumps(_finite(written), indent=1) + "\n", encoding="utf-8")
    Console().print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)


def spread(values: Sequence[float], show: Callable[[float], str], never: str = "never") -> tuple[str, str]:
    """Return the median of values, and their range unless all are shown alike; `never` stands for what is infinite."""
    low, middle, high = (never if math.isinf(each) else show(each) for each in (min(values), median(values), max(values)))
    return middle, f"{low}–{high}" if low != high else ""


def median(values: Sequence[float]) -> float:
    """Return the middle value; of two, the larger, so that it is a value there was."""
    return sorted(values)[len(values) // 2]


def _table(race: Race) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
    table.add_column("optimizer", overflow="fold")
    for header in ("learning\nrate", "steps\nto target", "seconds\nto target", "held-out\nloss", "state bytes\nper parameter"):
        table.add_column(header, justify="right", no_wrap=True)
    for result in race.results:
        steps, seconds = zip(*(run.until(race.target) for run in result.runs), strict=True)
        losses = [run.last_loss for run in result.runs]
        table.add_row(
            result.entrant.name,
            f"{result.rate:.2g}",
            "\n".join(spread(steps, lambda value: f"{value:.0f}")),
            "\n".join(spread(seconds, lambda value: f"{value:.2g}")),
            "\n".join(spread(losses, lambda value: f"{value:.3g}", "exploded")),
            f"{result.state_bytes_per_parameter:.3g}",
        )
    return table


def _notes(race: Race, target: str) -> list[str]:
    rules = race.rules
    low, high = rules.rates
    first, last = rules.seeds[0], rules.seeds[-1]
    compared = f"medians and ranges are of seeds {first} to {last}" if last > first else f"seed {first}"
    held = [result.entrant.name for result in race.results if result.entrant.holds_rate]
    return [
        f"Task: {race.task}, {rules.steps} steps a run; {compared}.",
        f"Target: a held-out loss of {race.target:.4g}, {target}.",
        f"Tuning: {rules.budget} runs for each optimizer, at rates from {low:g} to {high:g}, on seed {rules.tuning_seed}, by "
        "the held-out loss at the end.",
        "Schedule: the rate falls to 0 along a cosine" + (f"; {', '.join(held)} holds it." if held else "."),
    ]


def _warnings(race: Race) -> list[str]:
    ends = {result.entrant.name: result.rate for result in race.results if result.at_an_end}
    return [f"! {name}: its best rate, {rate:g}, is at an end of --rates: try beyond" for name, rate in ends.items()]


def _numbers(result: Result, target: float) -> dict[str, Any]:
    return {
        "learning_rate": result.rate,
        "held_out_loss_by_rate": {f"{rate:.6g}": loss for rate, loss in result.tried.items()},
        "state_bytes_per_parameter": result.state_bytes_per_parameter,
        "runs": [_of_run(run, target) for run in result.runs],
    }


def _of_run(run: Run, target: float) -> dict[str, Any]:
    steps, seconds = run.until(target)
    curves = {name: each.tolist() for name, each in run._asdict().items() if each is not None}
    return {"steps_to_target": steps, "seconds_to_target": seconds, **curves}


def _finite(value: Any) -> Any:
    """The same with `None`, which JSON has, for infinite numbers and NaN, which it has not."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
