"""A summary as HTML, for notebooks."""

import html
from collections.abc import Sequence

from gradtx.diagnostics.data import Component, Summary
from gradtx.diagnostics.text import Row, call, group_rows, patterns, state_rows, totals


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


def _item(component: Component) -> str:
    parts = "".join(map(_item, component.parts))
    return f"<li><code>{html.escape(call(component))}</code>{f'<ul>{parts}</ul>' if parts else ''}</li>"


def _table(rows: Sequence[Row]) -> str:
    header, *body = rows
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in body)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table>"
