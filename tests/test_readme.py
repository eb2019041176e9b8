"""The README keeps its word: its code runs, its commands are those that work, and its links lead somewhere from anywhere."""

import re
import subprocess
import tomllib

import documents
import pytest
from documents import README, ROOT, blocks

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEXT = README.read_text(encoding="utf-8")
LINKS = re.findall(r"\]\(([^)]+)\)", TEXT)


def test_the_python_blocks_run_in_order():
    assert blocks(README, "python")
    documents.run(README)


def test_it_can_be_read_in_a_few_minutes():
    assert len(TEXT.splitlines()) <= 150


def test_the_commands_are_one_line_each():
    assert 'pip install ".[demo]" && gradtx demo\n' in blocks(README, "sh")
    assert 'pip install -e ".[test]" && pytest\n' in blocks(README, "sh")


def test_the_script_of_ci_finds_the_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    function = re.search(r"^readme_test_command\(\) \{.*?^\}", script, re.DOTALL | re.MULTILINE)
    assert function
    found = subprocess.run(
        ["bash", "-c", f"{function[0]}\nreadme_test_command"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == 'pip install -e ".[test]" && pytest\n'


def test_links_are_absolute_as_it_is_read_outside_of_the_repository():
    assert LINKS
    assert [link for link in LINKS if not link.startswith("https://")] == []


def test_links_into_the_repository_lead_to_files_that_exist():
    urls = PROJECT["urls"]
    raw = urls["Repository"].replace("github.com", "raw.githubusercontent.com")
    paths = []
    for link in [*LINKS, *urls.values()]:
        if link.startswith((urls["Repository"] + "/", raw)) and link != urls["Issues"]:
            path = re.sub(rf"^({re.escape(urls['Repository'])}/(blob|tree)|{re.escape(raw)})/main/", "", link)
            paths.append(path.partition("#")[0])
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_documentation_is_where_the_project_says():
    assert PROJECT["urls"]["Documentation"] in LINKS


@pytest.mark.parametrize("name", ["README.md", "LICENSE"])
def test_what_is_shown_beside_a_package_is_in_its_sdist(name):
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert f"/{name}" in build["targets"]["sdist"]["include"]
    assert (ROOT / name).exists()
