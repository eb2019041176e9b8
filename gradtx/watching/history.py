"""Read the record that `recorded` keeps."""

from collections.abc import Iterator, Mapping

import jax
import numpy as np

from gradtx.core import OptState
from gradtx.errors import names_errors, unnamed
from gradtx.tree.search import get_only
from gradtx.watching.recorded import RecordedState

# The order in which columns are read; any other comes after these.
_ORDER = (
    "step", "loss", "learning_rate", "gradient_norm", "clip_factor", "update_norm", "parameter_norm", "update_ratio",
    "rounded_away", "nonfinite", "steps_left_out",
)  # fmt: skip


class History(Mapping[str, np.ndarray]):
    """The record of a run, from the oldest row that is kept to the last: an array for each column, by its name.

        record = history(state)
        record["update_ratio/embedding"]
        for row in record.rows(): logger.log(row, step=row["step"])

    `print` shows the last row; `plot_history` draws all. A column that has "/" in its name is that of a group of parameters.
    """

    def __init__(self, columns: Mapping[str, np.ndarray]):
        """Take columns of one length by their names, "step" among them."""
        self._columns = {name: columns[name] for name in sorted(columns, key=_reading_order)}

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def rows(self) -> list[dict[str, float]]:
        """Return a flat dictionary of numbers for each recorded step, as loggers take it."""
        lists = {name: column.tolist() for name, column in self.items()}
        return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]

    def of_groups(self, name: str) -> dict[str, np.ndarray]:
        """Return the columns of a measure by the groups of parameters; that of all parameters is called "all"."""
        return {column.partition("/")[2] or "all": self[column] for column in self if column.partition("/")[0] == name}

    def __repr__(self) -> str:
        if not len(self["step"]):
            return "History of no steps"
        width = max(map(len, self))
        last = [f"{name:{width}}  {column[-1]:.4g}" for name, column in self.items() if name != "step"]
        return "\n".join([f"History of {len(self['step'])} steps, the last {self['step'][-1]}:", *last])


@names_errors
def history(state: OptState) -> History:
    """Return the record of a run that `recorded` keeps in the state, at any depth.

    Args:
      state: the state of an optimizer. Of that of many runs, made under `vmap`, pass one:
        `jax.tree.map(lambda x: x[k], state)`.

    Raises:
      ValueError: there is no record in the state, or there are several, or it is that of many runs.
    """
    record = jax.device_get(get_only("history", state, RecordedState).record)
    steps = record["step"]
    if steps.ndim != 1:
        message = f"the state is that of {len(steps)} runs; pass one, as jax.tree.map(lambda x: x[0], state)."
        raise unnamed(ValueError, message)
    order = np.argsort(steps, kind="stable")
    order = order[steps[order] >= 0]
    columns = {name: column[order] for name, column in record.items()}
    if not columns["loss"].any():  # it was never given
        del columns["loss"]
    return History(columns)


def _reading_order(name: str) -> tuple[int, bool, str]:
    measure, _, group = name.partition("/")
    position = _ORDER.index(measure) if measure in _ORDER else len(_ORDER)
    return position, bool(group), name
