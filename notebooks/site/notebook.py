"""A notebook as a page of the site: its text, its code, and the outputs that it was committed with."""

import html
import json
import re
from pathlib import Path
from typing import Any

from latex2mathml import converter

ANSI = re.compile(r"\x1b\[[0-9;]*m")
FORMULA = re.compile(r"`[^`]*`|\$\$(?P<display>[^$]+)\$\$|\$(?P<inline>[^$]+)\$")  # or code, in which a dollar is one


def as_markdown(path: Path) -> str:
    """Return a notebook in Markdown, with its pictures in it."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(_cell(cell) for cell in cells) + "\n"


def title_of(path: Path) -> str:
    """Return the first heading of a notebook."""
    found = re.search(r"^# (.+)$", as_markdown(path), re.MULTILINE)
    if not found:
        raise ValueError(f"{path.name} has no title")
    return found[1]


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return FORMULA.sub(_formula, source)
    return "\n\n".join([f"```python\n{source}\n```", *filter(None, map(_output, cell["outputs"]))])


def _formula(match: re.Match[str]) -> str:
    """A formula of LaTeX in MathML, which a browser sets without a script or a font."""
    if match["display"]:
        return "\n\n" + converter.convert(match["display"], display="block") + "\n\n"
    return converter.convert(match["inline"]) if match["inline"] else match[0]


def _output(output: dict[str, Any]) -> str:
    if "text" in output:
        return _text(output["text"])
    data = output.get("data", {})
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        return f'<div class="output"><img alt="" src="data:image/png;base64,{picture}"></div>'
    return _text(data["text/plain"]) if "text/plain" in data else ""


def _text(lines: list[str] | str) -> str:
    text = html.escape(ANSI.sub("", "".join(lines)).rstrip("\n"))
    return f'<div class="output"><pre><code>{_unbroken(text)}</code></pre></div>'


def _unbroken(text: str) -> str:
    """Without an empty line, at which Markdown would take up its own rules again."""
    return re.sub(r"^$", "&#8203;", text, flags=re.MULTILINE)
