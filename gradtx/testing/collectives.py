"""What a compiled program sends from device to device."""

import collections
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

_KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|ragged-all-to-all|collective-permute|collective-broadcast"
_COLLECTIVE = re.compile(rf" ({_KINDS})(-start)?\(")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_CALLED = re.compile(r"\b(?:body|calls|to_apply)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"\b(?:branch_computations=\{([^}]*)\}|true_computation=(\S+), false_computation=(\S+))")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_ARRAY = re.compile(r"\b([a-z]+)(\d*)\w*\[([\d,]*)\]")
_GROUP = re.compile(r"replica_groups=(?:\{\{([\d,]+)\}|\[\d+,(\d+)\])")
# Of JAX 0.12: axes of a mesh by name, or parts of them, with their sizes.
_AXES = re.compile(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}")


class Compiled(Protocol):
    """What `jax.jit(f).lower(...).compile()` returns."""

    def as_text(self) -> str | None: ...


class Collective(NamedTuple):
    """All operations of a kind.

    - `count`: how many a device takes part in, those in a loop as often as they run;
    - `bytes`: what it sends in them.
    """

    count: int
    bytes: float


def collectives(compiled: Compiled) -> dict[str, Collective]:
    """Return what a compiled program sends from device to device, by the kind of operation: "all-reduce", "all-gather", ...

        found = collectives(jax.jit(step).lower(params, state, batch).compile())
        sum(each.bytes for each in found.values())

    Bytes are those of rings, less than which no network can do with. Of n devices that work together each one sends b·(n−1)/n
    to gather an array of b bytes, or to exchange its parts; b·(n−1) to reduce and scatter it, in parts of b; and 2b·(n−1)/n to
    reduce it for all. Of the branches of a condition the one counts that sends most. A loop whose length the compiler does not
    know counts as if it had one step.

    Args:
      compiled: a compiled program, of which the compiler's text is read.
    """
    text = compiled.as_text() or ""
    header = text.split("\n", 1)[0]
    devices = math.prod(int(n) for n in re.findall(r"\b(?:num_partitions|replica_count)=(\d+)", header))
    lines, entry = _computations(text)
    counts, sent = collections.Counter[str](), collections.defaultdict[str, float](float)
    for each in _sent_by(entry, lines, devices):
        counts[each.kind] += each.times
        sent[each.kind] += each.times * each.bytes
    return {kind: Collective(counts[kind], sent[kind]) for kind in sorted(counts)}


class _Operation(NamedTuple):
    kind: str
    bytes: float
    times: int


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """The lines of each computation by its name, and the name of the whole."""
    lines: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        if (header := _COMPUTATION.match(line)) is not None:
            name = header[2]
            entry = name if header[1] else entry
        lines.setdefault(name, []).append(line)
    return lines, entry


def _sent_by(name: str, lines: Mapping[str, Sequence[str]], devices: int) -> Iterator[_Operation]:
    """Yield the operations of a computation, and of all that it calls."""
    for line in lines.get(name, ()):
        if (found := _COLLECTIVE.search(line)) is not None:
            kind, result, n = found[1], line[: found.start()], _group_size(line, devices)
            if n > 1:
                yield _Operation(kind, _bytes_sent(kind, _size_of(result, kind, is_start=bool(found[2])), n), 1)
        elif (branches := _BRANCHES.search(line)) is not None:
            names = re.findall(r"[\w.\-]+", " ".join(filter(None, branches.groups())))
            found_in = [list(_sent_by(each, lines, devices)) for each in names]
            yield from max(found_in, key=lambda each: sum(operation.bytes * operation.times for operation in each))
        else:
            trips = _TRIPS.search(line)
            for called in _CALLED.findall(line):
                for each in _sent_by(called, lines, devices):
                    yield each._replace(times=each.times * (int(trips[1]) if trips else 1))


def _group_size(line: str, devices: int) -> int:
    """How many devices work together; all of them, if nothing is said."""
    if (axes := _AXES.search(line)) is not None:
        sizes = dict(re.findall(r"'([^']+)'=(\d+)", axes[1]))
        return math.prod(int(part or sizes[name]) for name, part in re.findall(r"'([^']+)'(?::\(\d+\)(\d+))?", axes[2]))
    found = _GROUP.search(line)
    if found is None:
        return devices
    return int(found[2]) if found[2] else found[1].count(",") + 1


def _bytes_sent(kind: str, size: float, n: int) -> float:
    """What a device sends for a result of so many bytes."""
    if kind == "all-reduce":
        return 2 * size * (n - 1) / n
    if kind == "reduce-scatter":
        return size * (n - 1)
    return size if kind.startswith("collective-") else size * (n - 1) / n


def _size_of(result: str, kind: str, *, is_start: bool) -> float:
    """The bytes of a result, given the text of its type; what starts an operation returns its operands, too."""
    sizes = [
        _itemsize(name, bits) * math.prod(map(int, filter(None, shape.split(",")))) for name, bits, shape in _types(result)
    ]
    if not is_start or kind == "all-reduce":
        return sum(sizes)
    return sizes[1] if kind.startswith("collective-") else sum(sizes[len(sizes) // 2 :])


def _types(result: str) -> list[tuple[str, str, str]]:
    return _ARRAY.findall(result.split(" = ", 1)[1])


def _itemsize(name: str, bits: str) -> float:
    return 1 if name == "pred" else int(bits or 0) / 8
