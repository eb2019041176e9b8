"""A summary as a text of 100 columns, of which only tables may be wider, and as HTML for notebooks."""

import html
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax.numpy as jnp

from gradtx.inspection.summary_data import Component, Entry, ParameterGroup, Summary
from gradtx.values import shown

WIDTH = 100
_PATTERNS = 12  # of paths that are shown for a group
_CHARACTERS = 200  # of an argument, which may be a mask with a bool for each parameter

_NUMBERS = ("arrays", "parameters", "bytes", "on the host", "per device")  # columns

Row = Sequence[str]


def as_text(summary: Summary) -> str:
    """Return the composition, the groups, the state, the totals and the warnings, one after another."""
    sections = [
        "\n".join(_tree(summary.composition)),
        "\n".join(_groups(summary.groups)),
        "\n".join(_state(summary)) if summary.entries else "",
        "\n".join(totals(summary)),
        "\n".join(_wrapped("! ", warning, "  ") for warning in summary.warnings),
    ]
    return "\n\n".join(filter(None, sections))


def as_html(summary: Summary) -> str:
    """Return the composition as a list and all else as tables."""
    paths = ["paths", *(", ".join(patterns(group.paths)) for group in summary.groups)]
    return "\n".join(
        [
            f"<ul>{_item(summary.composition)}</ul>",
            _table([(*row, own) for row, own in zip(group_rows(summary.groups), paths, strict=True)]),
            _table(state_rows(summary)) if summary.entries else "",
            *(f"<p>{html.escape(line)}</p>" for line in totals(summary)),
            *(f"<p><b>{html.escape(warning)}</b></p>" for warning in summary.warnings),
        ]
    )


def call(component: Component) -> str:
    """Return a transformation as a call with its arguments, if there are any to show."""
    arguments = ", ".join(f"{name}={_cut(shown(value))}" for name, value in component.arguments.items())
    label = "" if component.label is None else f"{component.label}: "
    return f"{label}{component.name}" + (f"({arguments})" if arguments else "")


def group_rows(groups: Sequence[ParameterGroup]) -> list[Row]:
    """Return the table of the groups, its header first; labels are left out where there are none."""
    rows = [("group", "arrays", "parameters", "transformation", "weight decay"), *map(_group_row, groups)]
    return rows if any(group.label for group in groups) else [row[1:] for row in rows]


def state_rows(summary: Summary) -> list[Row]:
    """Return the table of the state, its header first; the host and devices are left out where they do not matter."""
    header = ("state", "like", "dtype", "arrays", "bytes", "on the host", "per device", "sharding")
    hidden = {*([] if summary.state_bytes_on_host else [5]), *([] if summary.is_sharded else [6, 7])}
    rows = [header, *map(_state_row, summary.entries)]
    return [[cell for column, cell in enumerate(row) if column not in hidden] for row in rows]


def totals(summary: Summary) -> list[str]:
    """Return what parameters and state take together, and what there is during an update."""

    def shown_size(number: int, per_device: int) -> str:
        return size(number) + (f" ({size(per_device)} per device)" if summary.is_sharded else "")

    parameter_bytes = shown_size(summary.parameter_bytes, summary.parameter_bytes_per_device)
    state_bytes = shown_size(summary.state_bytes, summary.state_bytes_per_device)
    peak_bytes = shown_size(summary.peak_bytes, summary.peak_bytes_per_device)
    each = f"{summary.state_bytes_per_parameter:.4g} bytes per parameter"
    on_host = f", {size(summary.state_bytes_on_host)} of it on the host" if summary.state_bytes_on_host else ""
    temporaries = f" and temporaries of {size(summary.temporary_bytes)}" if summary.temporary_bytes else ""
    return [
        f"parameters: {parameter_bytes} in {_arrays(summary.parameter_arrays)}, {summary.parameters:,} numbers",
        f"state: {state_bytes} in {_arrays(summary.state_arrays)}, {each}{on_host}",
        f"peak of an update: {peak_bytes}, with gradients of {size(summary.parameter_bytes)}{temporaries}",
    ]


def size(number: int) -> str:
    """Return bytes in decimal units: of 1000, 1000² bytes, ..."""
    return _in_units(number, ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB", "RB", "QB"), 1000)


def binary_size(number: int) -> str:
    """Return bytes in binary units: of 1024, 1024² bytes, ..."""
    return _in_units(number, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"), 1024)


def patterns(paths: Iterable[str]) -> list[str]:
    """Return paths with a star instead of indices, and how many there are of each; no path is that of an array alone."""
    counts = Counter(re.sub(r"(?<![^/])\d+(?![^/])", "*", path) or "the array" for path in paths)
    return [f"{pattern} ({number})" if number > 1 else pattern for pattern, number in counts.items()]


def aligned(rows: Sequence[Row], right: Sequence[int] = ()) -> list[str]:
    """Return the lines of a table, with the columns at `right` aligned at their ends."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _item(component: Component) -> str:
    parts = "".join(map(_item, component.parts))
    return f"<li><code>{html.escape(call(component))}</code>{f'<ul>{parts}</ul>' if parts else ''}</li>"


def _table(rows: Sequence[Row]) -> str:
    header, *body = rows
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in body)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table>"


def _tree(component: Component, first: str = "", rest: str = "") -> Iterator[str]:
    yield _wrapped(first, call(component), rest + ("│  " if component.parts else "   ") + "   ")
    for part in component.parts:
        is_last = part is component.parts[-1]
        yield from _tree(part, rest + ("└─ " if is_last else "├─ "), rest + ("   " if is_last else "│  "))


def _groups(groups: Sequence[ParameterGroup]) -> Iterator[str]:
    rows = group_rows(groups)
    header, *lines = aligned(rows, right=[column for column, name in enumerate(rows[0]) if name in _NUMBERS])
    yield header
    for line, group in zip(lines, groups, strict=True):
        yield line
        found = patterns(group.paths)
        more = [f"and {len(found) - _PATTERNS} more"] if len(found) > _PATTERNS else []
        yield _wrapped("    ", ", ".join(found[:_PATTERNS] + more), "    ")


def _state(summary: Summary) -> list[str]:
    rows = state_rows(summary)
    return aligned(rows, right=[column for column, name in enumerate(rows[0]) if name in _NUMBERS])


def _group_row(group: ParameterGroup) -> Row:
    decays = " + ".join(map(_short, group.weight_decay))
    names = ", ".join(group.transformations)
    return (group.label, f"{len(group.paths):,}", f"{group.parameters:,}", names or "none", decays or "none")


def _state_row(entry: Entry) -> Row:
    sizes = map(size, (entry.bytes, entry.bytes_on_host, entry.bytes_per_device))
    return (entry.name, entry.like, entry.dtype, f"{entry.arrays:,}", *sizes, entry.sharding)


def _arrays(number: int) -> str:
    return f"{number:,} array{'' if number == 1 else 's'}"


def _in_units(number: int, units: Sequence[str], base: int) -> str:
    steps = next((k for k in range(len(units) - 1) if number < base ** (k + 1)), len(units) - 1)
    return f"{number / base**steps:.1f} {units[steps]}" if steps else f"{number} {units[0]}"


def _cut(argument: str) -> str:
    return argument if len(argument) <= _CHARACTERS else f"{argument[: _CHARACTERS - 3]}..."


def _short(weight_decay: Any) -> str:
    """A word, a number or a schedule."""
    if isinstance(weight_decay, str):
        return weight_decay
    return shown(weight_decay) if callable(weight_decay) or jnp.ndim(weight_decay) else f"{float(weight_decay):.6g}"


def _wrapped(first: str, text: str, rest: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
