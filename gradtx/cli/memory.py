"""Say what an optimizer keeps in memory for a number of parameters."""

import inspect
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from gradtx.cli.arguments import CommandError, large_number
from gradtx.cli.factories import assignment, call, known_optimizers, named, written
from gradtx.inspection.summary import summary
from gradtx.inspection.summary_data import Summary
from gradtx.inspection.summary_text import aligned, binary_size, size

DTYPES = ("float32", "bfloat16", "float16")
LEAST_SHARE = 1e-6  # of the total, for a row of its own
WIDEST = 2**20
MANY = 1000  # matrices, of which not each is looked at

Row: TypeAlias = tuple[str, str, int]
"""What is kept, its dtype and its bytes."""

State: TypeAlias = Counter[tuple[str, str]]
"""The bytes of each field of a state, by its name and dtype."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `gradtx memory`."""
    parser.add_argument("--parameters", type=large_number, required=True, metavar="N", help="how many there are: 7e9, 7B, 124M")
    parser.add_argument(
        "--optimizer",
        nargs="+",
        required=True,
        metavar=("NAME", "ARGUMENT=VALUE"),
        help="such as adamw, or keras.adamw, with what it takes, such as mu_dtype=bfloat16",
    )
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the parameters (%(default)s)")
    parser.add_argument("--gradients", choices=DTYPES, help="dtype of the gradients (by default that of the parameters)")


def run(arguments: Namespace) -> None:
    """Print the table of what is kept."""
    name, *words = arguments.optimizer
    assignments = _assignments(words)
    optimizer = _made(name, assignments)
    params = stack(arguments.parameters)
    gradients = arguments.gradients or arguments.dtype
    try:
        state, warnings = _kept(optimizer, params, arguments.dtype)
    except (TypeError, ValueError) as error:
        raise CommandError(f"for {params}: {' '.join(str(error).split())}") from error
    rows = [
        ("parameters", arguments.dtype, arguments.parameters * jnp.dtype(arguments.dtype).itemsize),
        ("gradients", gradients, arguments.parameters * jnp.dtype(gradients).itemsize),
        *((field, dtype, number) for (field, dtype), number in state.items()),
    ]
    print(f"{written(name, assignments)} with {arguments.parameters:,} parameters, taken for {params}\n")
    print("\n".join(_table(rows, arguments.parameters)))
    for warning in warnings:
        print(f"\n! {warning}")


class Stack(NamedTuple):
    """So many square matrices of a width, and a vector."""

    width: int
    matrices: int
    rest: int

    def shapes(self, dtype: str) -> list[jax.ShapeDtypeStruct]:
        """Return each array."""
        vector = [jax.ShapeDtypeStruct((self.rest,), dtype)] if self.rest else []
        return [jax.ShapeDtypeStruct((self.width, self.width), dtype)] * self.matrices + vector

    def __str__(self) -> str:
        words = (
            [f"{self.matrices:,} {'matrix' if self.matrices == 1 else 'matrices'} of {self.width:,} by {self.width:,}"]
            if self.matrices
            else []
        )
        words += [f"a vector of {self.rest:,}"] if self.rest else []
        return " and ".join(words)


def stack(parameters: int) -> Stack:
    """Return so many parameters in the shapes of a transformer of that size.

    It has about 12·width² parameters in a layer, and is about 128 times as wide as deep. What is left over is a vector.
    """
    width = max(1, round((parameters * 128 / 12) ** (1 / 3)))
    width = min(round(width / 128) * 128 or width, WIDEST)
    return Stack(width, *divmod(parameters, width**2))


def _assignments(words: Sequence[str]) -> list[tuple[str, Any]]:
    try:
        return [assignment(word) for word in words]
    except ArgumentTypeError as error:
        raise CommandError(f"argument --optimizer: what follows the name {error}") from None


def _made(name: str, assignments: Sequence[tuple[str, Any]]) -> Any:
    """The optimizer; its learning rate, which takes no memory, need not be given."""
    factory = named("optimizer", name, known_optimizers())
    given = {argument for argument, _ in assignments}
    parameters = inspect.signature(factory).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.name in {"learning_rate", "lr"} - given]
    return call(name, factory, [*assignments, *((argument, 1e-3) for argument in needed)])


def _kept(optimizer: Any, params: Stack, dtype: str) -> tuple[State, Sequence[str]]:
    """The fields of the state, and warnings. Where matrices are many, each adds as much as the third to the first two."""
    if params.matrices <= MANY:
        found = summary(optimizer, params.shapes(dtype))
        return _fields(found), found.warnings
    two, three = (summary(optimizer, params._replace(matrices=n).shapes(dtype)) for n in (2, 3))
    fields = _fields(three)
    for field, number in _fields(two).items():
        fields[field] += (fields[field] - number) * (params.matrices - 3)
    return fields, three.warnings


def _fields(found: Summary) -> State:
    """The fields of the state; counts and other scalars are in one row."""
    total: State = Counter()
    for entry in found.entries:
        total["scalars" if entry.like == "scalar" else entry.name, entry.dtype] += entry.bytes
    return total


def _table(rows: Sequence[Row], parameters: int) -> list[str]:
    total = sum(number for *_, number in rows)
    shown = [row for row in rows if row[-1] >= LEAST_SHARE * total]
    cells = [
        (name, dtype, size(number), binary_size(number), f"{number / parameters:.4g}")
        for name, dtype, number in [*shown, ("total", "", total)]
    ]
    return aligned([("", "dtype", "bytes", "", "per parameter"), *cells], right=(2, 3, 4))
