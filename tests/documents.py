"""The README and the guides, which keep their word: blocks of code are found in them, and run as a reader would."""

import re
from pathlib import Path
from typing import Any

import jax

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "notebooks" / "guides").glob("*.md"))


def blocks(path: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language in a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(path: Path) -> None:
    """Run the Python in a document, in order, as one program."""
    text = path.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": path.stem}
    end = 0
    for block in blocks(path, "python"):
        end = text.index(block, end)
        # Padded with newlines, so that a traceback gives the line in the document.
        code = compile("\n" * text[:end].count("\n") + block, path.name, "exec")
        with jax.numpy_rank_promotion("allow"):  # a model may add a bias to a batch
            exec(code, names)
