"""Every notebook runs from its first cell to its last."""

import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
LONG_RUNS = {"5_less_memory"}  # in which what the compiler takes longer for (`conftest.py`) is worth its while


class ThisInterpreter(AsyncKernelManager):
    """Starts the interpreter that runs the tests, whichever kernels are installed on the machine."""

    @property
    def kernel_spec(self):
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")  # else jupyter_core warns that it will be the default
    monkeypatch.setenv("MPLBACKEND", "agg")
    if path.stem in LONG_RUNS:
        monkeypatch.setenv("XLA_FLAGS", "")
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, kernel_manager_class=ThisInterpreter, timeout=300, resources=resources).execute()


def test_there_are_notebooks():
    assert NOTEBOOKS
