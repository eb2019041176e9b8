"""Commands, run as a user runs them: as a process."""

import os
import subprocess
import sys


def gradtx(*arguments, **environment):
    """Run the command as a user does; the environment is the tester's own, with `environment` on top."""
    command = [sys.executable, "-m", "gradtx.cli", *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False)


def assert_refused_in_one_line(result, *words):
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("gradtx")
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr
