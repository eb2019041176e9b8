"""How many recorded runs does `diagnose` tell right? `python tests/benchmarks/diagnoses.py`.

The runs are those of `tests/watching/record_runs.py`: thresholds were set by those of the first seed, the others tell how good
they are. With the record, and from the losses alone.
"""

import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import gradtx

sys.path.insert(0, str(Path(__file__).parents[1] / "watching"))
from record_runs import Recording, read


def main() -> None:
    runs = read()
    table = Table("", "seed", "runs", "right with the record", "right without", title="Diagnoses")
    for called in sorted({run.called for run in runs}):
        for seed in sorted({run.seed for run in runs}):
            table.add_row(called, *_row([run for run in runs if run.called == called and run.seed == seed], seed))
    table.add_section()
    for seed in sorted({run.seed for run in runs}):
        table.add_row("all", *_row([run for run in runs if run.seed == seed], seed))
    Console().print(table)


def _row(runs: list[Recording], seed: int) -> tuple[str, ...]:
    right = [[gradtx.diagnose(run.losses, record).kind == run.called for record in (run.record, None)] for run in runs]
    return str(seed), str(len(runs)), *map(str, np.sum(right, axis=0))


if __name__ == "__main__":
    main()
