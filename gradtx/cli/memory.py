"""Say what an optimizer keeps in memory for a number of parameters, and what there is during an update."""

import inspect
import math
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

import gradtx
from gradtx.cli.arguments import CommandError, large_number, mesh_axes
from gradtx.cli.factories import assignment, call, known_optimizers, named, written
from gradtx.inspection.summary import summary
from gradtx.inspection.summary_data import Summary
from gradtx.inspection.summary_entries import bytes_of
from gradtx.inspection.summary_text import aligned, binary_size, size

DTYPES = ("float32", "bfloat16", "float16")
LEAST_SHARE = 1e-6  # of the total, for a row of its own
WIDEST = 2**20
MANY = 1000  # matrices, of which not each is looked at

Row: TypeAlias = tuple[str, str, int, int]
"""What is there, its dtype, its bytes and those of a device."""

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
    parser.add_argument("--quantized", type=int, choices=(8, 4), help="keep the state in so many bits")
    parser.add_argument("--offloaded", action="store_true", help="keep the state in the memory of the host")
    parser.add_argument(
        "--mesh",
        type=mesh_axes,
        metavar="AXIS=N,...",
        help="say what a device keeps; each axis splits one dimension of a matrix",
    )
    parser.add_argument(
        "--sharded", nargs="+", metavar="AXIS", help="axes of the mesh along which the state alone is split, not the parameters"
    )
    wide = parser.add_mutually_exclusive_group()
    wide.add_argument("--compensated", action="store_true", help="keep the low bits of 16-bit parameters in the state")
    wide.add_argument("--stochastically-rounded", action="store_true", help="round 16-bit parameters at random")
    wide.add_argument("--compare", action="store_true", help="compare the ways to train in less memory, for any dtype")


def run(arguments: Namespace) -> None:
    """Print the table of what is there."""
    name, *words = arguments.optimizer
    assignments = _assignments(words)
    optimizer, shown = _made(name, assignments), written(name, assignments)
    params = stack(arguments.parameters)
    if arguments.mesh or arguments.sharded:
        params = _on_mesh(params, arguments.mesh or {}, arguments.sharded or ())
    if arguments.compare:
        if params.mesh:
            raise CommandError("--compare is about one device: leave --mesh out")
        if arguments.quantized or arguments.offloaded or arguments.dtype != "float32":
            raise CommandError("--compare has its own --dtype, --quantized and --offloaded: leave them out")
        ways = [(each, *_wrapped(optimizer, shown, each)) for each in WAYS]
        lines = _comparison(ways, params, arguments.gradients)
    else:
        way = Way(
            arguments.dtype,
            arguments.quantized,
            arguments.compensated,
            arguments.stochastically_rounded,
            arguments.offloaded,
            tuple(arguments.sharded or ()),
        )
        optimizer, shown = _wrapped(optimizer, shown, way)
        lines = _detailed(optimizer, params, way.dtype, arguments.gradients)
    print(f"{shown} with {arguments.parameters:,} parameters, taken for {params}\n")
    print("\n".join(lines))


class Way(NamedTuple):
    """A way to keep parameters and state."""

    dtype: str = "float32"
    quantized: Literal[8, 4] | None = None
    compensated: bool = False
    stochastically_rounded: bool = False
    offloaded: bool = False
    sharded: tuple[str, ...] = ()
    copied: bool = False
    """Whether there is a copy of the parameters in float32, of which they are the rounding, as many programs keep one."""

    @property
    def parameters(self) -> str:
        """How the parameters are kept."""
        return f"{self.dtype} with a float32 copy" if self.copied else self.dtype


WAYS = (
    Way(),
    Way("bfloat16"),
    Way("bfloat16", copied=True),
    Way("bfloat16", compensated=True),
    Way(quantized=8),
    Way("bfloat16", quantized=8, compensated=True),
    Way("bfloat16", quantized=8, stochastically_rounded=True),
    Way("bfloat16", quantized=4, stochastically_rounded=True),
)


def _wrapped(optimizer: Any, shown: str, way: Way) -> tuple[Any, str]:
    """An optimizer in the wrappers of a way, and how one writes it."""
    if way.quantized:
        bits = f", bits={way.quantized}" if way.quantized != 8 else ""
        optimizer, shown = gradtx.quantized(optimizer, bits=way.quantized), f"quantized({shown}{bits})"
    if way.compensated:
        optimizer, shown = gradtx.compensated(optimizer), f"compensated({shown})"
    if way.stochastically_rounded:
        optimizer, shown = gradtx.stochastically_rounded(optimizer, 0), f"stochastically_rounded({shown}, key)"
    if way.sharded:
        over = way.sharded[0] if len(way.sharded) == 1 else way.sharded
        optimizer, shown = gradtx.sharded(optimizer, over), f"sharded({shown}, {over!r})"
    if way.offloaded:
        optimizer, shown = gradtx.offloaded(optimizer), f"offloaded({shown})"
    return optimizer, shown


class Stack(NamedTuple):
    """So many square matrices of a width, and a vector; on a mesh, if there is one, of which some axes split them."""

    width: int
    matrices: int
    rest: int
    mesh: AbstractMesh | None = None
    axes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many parameters they are."""
        return self.matrices * self.width**2 + self.rest

    @property
    def spec(self) -> PartitionSpec:
        """How matrices are split: the first axis of the mesh splits rows, the others columns."""
        return PartitionSpec(*self.axes) if len(self.axes) < 2 else PartitionSpec(self.axes[0], self.axes[1:])

    def shapes(self, dtype: str) -> list[jax.ShapeDtypeStruct]:
        """Return each array."""
        shapes = [(self.width, self.width)] * self.matrices + ([(self.rest,)] if self.rest else [])
        return [jax.ShapeDtypeStruct(shape, dtype, sharding=self._sharding(shape)) for shape in shapes]

    def per_device(self, dtype: str) -> int:
        """Return the bytes of what one device has."""
        of_one = [each._replace(matrices=min(1, each.matrices)) for each in (self._replace(rest=0), self._replace(matrices=0))]
        of_matrix, of_rest = (
            sum(bytes_of(shape.shape, shape.dtype, shape.sharding) for shape in each.shapes(dtype)) for each in of_one
        )
        return self.matrices * of_matrix + of_rest

    def _sharding(self, shape: tuple[int, ...]) -> NamedSharding | None:
        if self.mesh is None:
            return None
        if len(shape) == 2:
            return NamedSharding(self.mesh, self.spec)
        axes: list[str] = []
        for axis in self.axes:
            if shape[0] % math.prod(self.mesh.shape[each] for each in (*axes, axis)) == 0:
                axes.append(axis)
        return NamedSharding(self.mesh, PartitionSpec(tuple(axes)) if axes else PartitionSpec())

    def __str__(self) -> str:
        words = (
            [f"{self.matrices:,} {'matrix' if self.matrices == 1 else 'matrices'} of {self.width:,} by {self.width:,}"]
            if self.matrices
            else []
        )
        words += [f"a vector of {self.rest:,}"] if self.rest else []
        split = f", split {self.spec} on {self.mesh.size:,} devices" if self.mesh else ""
        return " and ".join(words) + split


def stack(parameters: int) -> Stack:
    """Return so many parameters in the shapes of a transformer of that size.

    It has about 12·width² parameters in a layer, and is about 128 times as wide as deep. What is left over is a vector.
    """
    width = max(1, round((parameters * 128 / 12) ** (1 / 3)))
    width = min(round(width / 128) * 128 or width, WIDEST)
    return Stack(width, *divmod(parameters, width**2))


def _on_mesh(params: Stack, sizes: dict[str, int], copied: Sequence[str]) -> Stack:
    """Parameters on a mesh, all of whose axes split them but those along which they are copied."""
    if unknown := [axis for axis in copied if axis not in sizes]:
        raise CommandError(f"--sharded has {unknown[0]!r}, --mesh has {', '.join(sizes) or 'no axis'}")
    mesh = AbstractMesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))
    params = params._replace(mesh=mesh, axes=tuple(axis for axis in sizes if axis not in copied))
    try:
        params.per_device("float32")
    except ValueError:
        raise CommandError(f"--mesh cannot split {params}") from None
    return params


def _assignments(words: Sequence[str]) -> list[tuple[str, Any]]:
    try:
        return [assignment(word) for word in words]
    except ArgumentTypeError as error:
        raise CommandError(f"argument --optimizer: what follows the name {error}") from None


def _made(name: str, assignments: Sequence[tuple[str, Any]]) -> Any:
    """The optimizer; its learning rate, which takes no memory, need not be given. By one of 1 no step is rounded away."""
    factory = named("optimizer", name, known_optimizers())
    given = {argument for argument, _ in assignments}
    parameters = inspect.signature(factory).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.name in {"learning_rate", "lr"} - given]
    return call(name, factory, [*assignments, *((argument, 1.0) for argument in needed)])


class Kept(NamedTuple):
    """What an optimizer keeps, and of it on a device and on the host, what it holds for a while, and what is wrong with it."""

    state: State
    state_of_device: State
    on_host: int
    temporaries: int
    temporaries_of_device: int
    warnings: Sequence[str]


def _detailed(optimizer: Any, params: Stack, dtype: str, gradients: str | None) -> list[str]:
    """A table with each field of the state, and the warnings."""
    try:
        kept = _kept(optimizer, params, dtype)
    except (TypeError, ValueError) as error:
        raise CommandError(f"for {params}: {_in_one_line(error)}") from error
    rows = [
        ("parameters", dtype, _bytes(params, dtype), params.per_device(dtype)),
        *((*field, number, kept.state_of_device[field]) for field, number in kept.state.items()),
    ]
    gradients = gradients or dtype
    of_update = [
        ("gradients", gradients, _bytes(params, gradients), params.per_device(gradients)),
        ("temporaries of an update", "float32", kept.temporaries, kept.temporaries_of_device),
    ]
    return _table(rows, of_update, kept.on_host, params) + [f"\n! {warning}" for warning in kept.warnings]


def _comparison(ways: Sequence[tuple[Way, Any, str]], params: Stack, gradients: str | None) -> list[str]:
    """A table of ways, and why some are none for this optimizer."""
    rows: list[Sequence[str]] = []
    refused: dict[str, list[str]] = {}
    for way, optimizer, shown in ways:
        try:
            kept = _kept(optimizer, params, "float32" if way.copied else way.dtype)
        except (TypeError, ValueError) as error:
            refused.setdefault(_in_one_line(error), []).append(shown)
            continue
        copy = _bytes(params, "float32") if way.copied else 0
        total = _bytes(params, way.dtype) + copy + kept.state.total()
        of_gradients = _bytes(params, gradients or way.dtype)
        sizes = (total, of_gradients, total + of_gradients + kept.temporaries)
        rows.append((shown, way.parameters, _per_parameter(total, params.size), *map(size, sizes)))
    header = ("", "parameters", "bytes per parameter", "total", "gradients", "peak of an update")
    errors = [f"\n! {', '.join(names)}: {error}" for error, names in refused.items()]
    return [*aligned([header, *rows], right=(2, 3, 4, 5)), *errors]


def _kept(optimizer: Any, params: Stack, dtype: str) -> Kept:
    """What is kept. Where matrices are many, each adds as much as the third to the first two."""
    if params.matrices <= MANY:
        return _seen(summary(optimizer, params.shapes(dtype)))
    two, three = (_seen(summary(optimizer, params._replace(matrices=n).shapes(dtype))) for n in (2, 3))

    def at_all(second: int, third: int) -> int:
        return third + (third - second) * (params.matrices - 3)

    def all_of(second: State, third: State) -> State:
        return Counter({field: at_all(second[field], number) for field, number in third.items()})

    return Kept(
        all_of(two.state, three.state),
        all_of(two.state_of_device, three.state_of_device),
        at_all(two.on_host, three.on_host),
        at_all(two.temporaries, three.temporaries),
        at_all(two.temporaries_of_device, three.temporaries_of_device),
        three.warnings,
    )


def _seen(found: Summary) -> Kept:
    """What a summary says; counts and other scalars are one field of the state."""
    state, of_device = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for entry in found.entries:
        field = "scalars" if entry.like == "scalar" else entry.name, entry.dtype
        state[field] += entry.bytes
        of_device[field] += entry.bytes_per_device
    temporaries = found.temporary_bytes, found.temporary_bytes_per_device
    return Kept(state, of_device, found.state_bytes_on_host, *temporaries, found.warnings)


def _table(kept: Sequence[Row], of_update: Sequence[Row], on_host: int, params: Stack) -> list[str]:
    total, peak = _sum("total", kept), _sum("peak of an update", [*kept, *of_update])
    of_host = [("of it on the host", "", on_host, 0)] if on_host else []
    rows = [*_shown(kept, total), total, *of_host, *_shown(of_update, total), peak]
    cells = [
        (*name, size(number), binary_size(number), _per_parameter(number, params.size), size(of_device) if of_device else "")
        for *name, number, of_device in rows
    ]
    table = [("", "dtype", "bytes", "", "per parameter", "per device"), *cells]
    return aligned(table if params.mesh else [row[:-1] for row in table], right=(2, 3, 4, 5))


def _sum(name: str, rows: Sequence[Row]) -> Row:
    return name, "", sum(number for *_, number, _ in rows), sum(of_device for *_, of_device in rows)


def _shown(rows: Sequence[Row], total: Row) -> list[Row]:
    return [row for row in rows if row[2] >= LEAST_SHARE * total[2]]


def _bytes(params: Stack, dtype: str) -> int:
    return params.size * jnp.dtype(dtype).itemsize


def _per_parameter(number: int, parameters: int) -> str:
    return f"{round(number / parameters, 2):g}"


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
