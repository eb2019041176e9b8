"""Run notebooks: `python tests/run_notebooks.py notebooks/1_first_steps.ipynb` writes it again with its outputs.

A notebook that was run says so in its metadata, by a digest of its code: outputs of other code are seen to be old.
"""

import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")  # else jupyter_core warns that it will be the default

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

SECONDS = 300  # for one cell
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
NUMBER = re.compile(r"[-+−]?(0x[0-9a-f]+|\d+(\.\d*)?(e[-+]?\d+)?|\binf\b|\bnan\b)", re.IGNORECASE)


class ThisInterpreter(AsyncKernelManager):
    """Starts the interpreter that runs this, whichever kernels are installed on the machine."""

    @property
    def kernel_spec(self):
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])


def read(path: Path) -> Any:
    """Return the notebook in a file."""
    return nbformat.read(path, as_version=4)


def run(path: Path, folder: Path) -> Any:
    """Return a notebook with the outputs that it gives now, run in a folder. A cell that fails raises."""
    notebook = read(path)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, kernel_manager_class=ThisInterpreter, timeout=SECONDS, resources=resources).execute()
    return without_noise(notebook)


def without_noise(notebook: Any) -> Any:
    """Leave out of a notebook what differs from run to run, and what says on which machine it was; join parts of a text."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, "gradtx": {"code": digest(notebook)}}
    for cell in code_cells(notebook):
        cell.metadata, cell.execution_count = {}, None
        cell.outputs = _joined(cell.outputs)
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = None
    return notebook


def digest(notebook: Any) -> str:
    """Return what tells whether the code of a notebook has changed."""
    code = json.dumps([cell.source for cell in code_cells(notebook)])
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def code_cells(notebook: Any) -> list[Any]:
    """Return the cells with code, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def words(notebook: Any) -> list[list[str]]:
    """Return for each cell of code what its outputs are: their kinds, and what they say but for numbers and spaces.

    Numbers differ from machine to machine, and columns are as wide as their numbers.
    """
    return [[_words(output) for output in cell.outputs] for cell in code_cells(notebook)]


def _words(output: Any) -> str:
    if output.output_type == "stream":
        return f"{output.name}: {_without_numbers(output.text)}"
    kinds = " ".join(sorted(output.get("data", {})))
    return f"{output.output_type} {kinds}: {_without_numbers(output.get('data', {}).get('text/plain', ''))}"


def _without_numbers(text: str) -> str:
    return " ".join(re.sub(r"[-─━=]{3,}", "―", NUMBER.sub("#", text)).split())


def _joined(outputs: list[Any]) -> list[Any]:
    """Two pieces of one stream, one after the other, as one: a process prints in as many pieces as its buffer has it."""
    joined: list[Any] = []
    for output in outputs:
        before = joined[-1] if joined else None
        if before is not None and output.output_type == before.output_type == "stream" and output.name == before.name:
            before.text += output.text
        else:
            joined.append(output)
    return joined


def main(paths: list[str]) -> None:
    """Run notebooks, and write each with its outputs."""
    for path in map(Path, paths):
        with tempfile.TemporaryDirectory() as folder:
            notebook = run(path, Path(folder))
        text = nbformat.writes(notebook)
        path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
