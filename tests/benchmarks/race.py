"""Race optimizers on digits and characters: `python tests/benchmarks/race.py`.

It is `gradtx race` with the optimizers and seeds of the tables in the documentation; other options go to the command, as in
`python tests/benchmarks/race.py digits --plot=race.png`.
"""

import argparse
import sys

from gradtx.cli import main

OPTIMIZERS = ("adamw", "sgd", "momentum=0.9", "lion", "muon", "schedule_free_adamw", "prodigy")
SEEDS = {"digits": 10, "characters": 3}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(SEEDS), choices=list(SEEDS))
    given, options = parser.parse_known_args()
    for task in given.tasks:
        code = main(["race", task, "--optimizers", *OPTIMIZERS, "--seeds", str(SEEDS[task]), *options])
        if code:
            sys.exit(code)
