"""The guides keep their word: their code runs, what they show is printed, and their links lead to files."""

import importlib.util
import re
import shlex

import documents
import pytest
from documents import GUIDES, ROOT, blocks

import gradtx
from gradtx import cli

NEEDS = {"recipes": ("equinox", "flax", "orbax")}  # what the tests of the oldest and the newest JAX do without
COMMANDS = [
    line for path in GUIDES for block in blocks(path, "sh") for line in block.splitlines() if line.startswith("gradtx ")
]
WITH_CODE = [path for path in GUIDES if blocks(path, "python")]


@pytest.mark.filterwarnings("ignore:.*:UserWarning:orbax")
@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: path.stem)
def test_the_python_of_a_guide_runs_in_order(path):
    for library in NEEDS.get(path.stem, ()):
        if not importlib.util.find_spec(library):
            pytest.skip(f"{library} is not installed")
    documents.run(path)


def test_most_guides_have_code():
    assert len(WITH_CODE) > len(GUIDES) / 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_guide_works(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where some write pictures
    if "--plot" in command or command.startswith("gradtx race"):
        pytest.importorskip("matplotlib")
    assert cli.main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out


def test_the_summary_is_what_it_prints():
    (guide,) = (path for path in GUIDES if path.stem == "steering")
    names = {}
    exec(next(block for block in blocks(guide, "python") if "Group(" in block), names)
    printed = repr(gradtx.summary(names["optimizer"], names["params"]))
    (shown,) = (block for block in blocks(guide, "text") if block.startswith("group"))
    assert shown.removesuffix("...\n") in printed


@pytest.mark.parametrize("path", [*GUIDES, ROOT / ".github" / "CONTRIBUTING.md"], ids=lambda path: path.stem)
def test_relative_links_lead_to_files(path):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    made = [link for link in links if link.startswith("reference/")]  # pages that the site's builder makes and checks
    assert [link for link in links if link not in made and not (path.parent / link).exists()] == []
