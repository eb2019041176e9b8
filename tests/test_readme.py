"""The README keeps its word: its code runs, and its commands are those that work."""

import re
import subprocess
from pathlib import Path

import gradtx

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_python_blocks_run_in_order():
    names = {"__name__": "readme"}
    assert blocks("python")
    for block in blocks("python"):
        # Padded with newlines, so that a traceback gives the line in the README.
        line = README[: README.index(block)].count("\n")
        exec(compile("\n" * line + block, "README.md", "exec"), names)


def test_the_summary_is_what_it_prints():
    block = next(block for block in blocks("python") if "Group(" in block)
    names = {}
    exec("import jax.numpy as jnp\nimport gradtx\n" + block, names)
    printed = repr(gradtx.summary(names["optimizer"], names["params"]))
    (shown,) = (block for block in blocks("text") if block.startswith("group"))
    assert shown.removesuffix("...\n") in printed


def test_the_commands_are_one_line_each():
    assert 'pip install ".[demo]" && gradtx demo\n' in blocks("sh")
    assert 'pip install -e ".[test]" && pytest\n' in blocks("sh")


def test_the_script_of_ci_finds_the_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    function = re.search(r"^readme_test_command\(\) \{.*?^\}", script, re.DOTALL | re.MULTILINE)
    assert function
    found = subprocess.run(
        ["bash", "-c", f"{function[0]}\nreadme_test_command"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == 'pip install -e ".[test]" && pytest\n'
