"""Run Optax's own tests, which come with its wheel, on gradtx.

    python tests/clients/optax_suite.py [arguments of pytest ...]

They are copied to a temporary folder, where `import optax` means gradtx. `optax_suite.toml` names the tests that fail and says
why; a failure of any other is one, and so is a pass of one of these.
"""

import fnmatch
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Generator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# What the tests import besides Optax: helpers, and one test another.
HELPERS = ["test_utils", "alias_test"]
MOST_FAILURES = 0.02
FAILED = pytest.StashKey[bool]()


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        copy_tests(Path(folder))
        options = ["-p", "optax_suite", "-p", "no:cacheprovider", "--import-mode=importlib", "-q", "-n", "2", *arguments]
        command = [sys.executable, "-m", "gradtx.interop.optax", "-m", "pytest", *options]
        paths = [str(HERE), str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        return subprocess.run(command, cwd=folder, env=environment).returncode


def copy_tests(folder: Path) -> None:
    """Copy the tests of the installed Optax, and what they share, to `folder`."""
    spec = importlib.util.find_spec("optax")
    if spec is None or spec.origin is None:
        raise SystemExit("Optax is not installed: pip install gradtx[test]")
    wheel = Path(spec.origin).parent
    for file in [*wheel.rglob("*_test.py"), wheel / "_src" / "test_utils.py"]:
        copy = folder / file.relative_to(wheel)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy)


def excuses() -> dict[str, str]:
    """Why a test fails, by pattern of its name."""
    table = tomllib.loads((HERE / "optax_suite.toml").read_text())
    return {pattern: reason for reason, patterns in table.items() for pattern in patterns}


# --- what pytest is told, in the folder of the copies ----------------------------------------------------------------


def pytest_configure() -> None:
    import optax

    for name in HELPERS:
        spec = importlib.util.spec_from_file_location(f"optax._src.{name}", Path("_src", f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        setattr(optax._src, name, module)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test that is to fail do so by one of its subtests: pytest's own `strict` asks it of each."""
    report = yield
    excuse = item.get_closest_marker("xfail")
    if excuse and report.skipped:
        item.stash[FAILED] = True
    elif excuse and report.when == "call" and report.passed and FAILED in item.stash:
        report.outcome, report.wasxfail = "skipped", excuse.kwargs["reason"]
    elif excuse and report.when == "teardown" and FAILED not in item.stash:
        report.outcome, report.longrepr = "failed", f"passes, but optax_suite.toml has it: {excuse.kwargs['reason']}"
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    table = excuses()
    matched = {pattern: fnmatch.filter([item.nodeid for item in items], pattern) for pattern in table}
    reasons = {name: table[pattern] for pattern, names in matched.items() for name in names}
    for item in items:
        if item.nodeid in reasons:
            item.add_marker(pytest.mark.xfail(reason=reasons[item.nodeid]))
    if config.args != [str(config.invocation_params.dir)] or config.getoption("keyword"):
        return  # a part of the suite
    if idle := [pattern for pattern, names in matched.items() if not names]:
        raise pytest.UsageError(f"optax_suite.toml: no test is called {idle[0]}.")
    if len(reasons) > MOST_FAILURES * len(items):
        raise pytest.UsageError(f"optax_suite.toml excuses {len(reasons)} of {len(items)} tests: too many.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
