"""Every notebook runs from its first cell to its last, and was committed with the outputs that it gives."""

import nbformat
import pytest
import run_notebooks
from documents import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONG_RUNS = {"5_less_memory"}  # in which what the compiler takes longer for (`conftest.py`) is worth its while


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_its_outputs_say_the_same(path, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "")  # else a process with another one shows no pictures
    if path.stem in LONG_RUNS:
        monkeypatch.setenv("XLA_FLAGS", "")
    assert run_notebooks.words(run_notebooks.run(path, tmp_path)) == run_notebooks.words(run_notebooks.read(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_those_of_the_code(path):
    notebook = run_notebooks.read(path)
    assert notebook.metadata.gradtx.code == run_notebooks.digest(notebook), (
        f"run `python tests/run_notebooks.py notebooks/{path.name}`"
    )
    assert any(cell.outputs for cell in run_notebooks.code_cells(notebook))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_of_a_run_is_committed_but_its_outputs(path):
    kept = nbformat.writes(run_notebooks.read(path))
    assert nbformat.writes(run_notebooks.without_noise(run_notebooks.read(path))) == kept


def test_old_outputs_are_seen():
    cell = nbformat.v4.new_code_cell("print(1)")
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="loss 1e-3 after 7 steps\n")]
    notebook = run_notebooks.without_noise(nbformat.v4.new_notebook(cells=[cell]))
    said = run_notebooks.words(notebook)
    cell.outputs[0].text = "loss 2.5e-03  after 7 steps\n"
    assert run_notebooks.words(notebook) == said  # another machine
    cell.outputs[0].text = "error 2.5e-03 after 7 steps\n"
    assert run_notebooks.words(notebook) != said
    cell.source = "print(2)"
    assert notebook.metadata.gradtx.code != run_notebooks.digest(notebook)


def test_there_are_notebooks():
    assert NOTEBOOKS
