"""What the tests of all commands share."""

import subprocess

import jax
import pytest
from commands import assert_refused_in_one_line

from gradtx.cli import main


@pytest.fixture(autouse=True)
def as_users_write():
    """Let commands add a bias of one dimension to rows of two, where they run within the tests' own process."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def refused(capsys):
    """Assert that a command is refused in one line; without a process, which takes a second to open JAX."""

    def check(arguments, *words):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        assert_refused_in_one_line(subprocess.CompletedProcess(arguments, code, *capsys.readouterr()), *words)

    return check
