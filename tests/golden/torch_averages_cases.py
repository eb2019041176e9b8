"""The averages that are recorded, of the parameters of SGD."""

from typing import NamedTuple

SGD = {"lr": 0.1, "momentum": 0.9}


class Case(NamedTuple):
    """An average of the parameters after step `begin` and every so many steps from there: their mean, or with a decay."""

    begin: int
    every: int = 1
    decay: float | None = None

    def __str__(self) -> str:
        average = "mean" if self.decay is None else f"decay {self.decay}"
        return f"{average} of every {self.every} from step {self.begin}"


CASES = [Case(1), Case(3), Case(31), Case(1, 3), Case(4, 5), Case(20, 10), Case(1, decay=0.9), Case(5, decay=0.99)]
