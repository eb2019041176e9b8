"""Several processes that train together compute what one does, and go on from one another's checkpoints."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROCESS = Path(__file__).with_name("process.py")


def run(number, folder, part):
    """What comes of so many processes."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")}
    commands = [[sys.executable, str(PROCESS), str(rank), str(number), str(port), str(folder), part] for rank in range(number)]
    processes = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert not any(process.returncode for process in processes), errors
    return json.loads(Path(folder, f"{number}-{part}.json").read_text())


def test_processes_train_together_and_go_on_from_each_others_checkpoints(tmp_path):
    alone, together = run(1, tmp_path, "before"), run(2, tmp_path, "before")
    assert together == pytest.approx(alone, rel=1e-6)
    assert (together["left out"], together["taken"], together["compiled"]) == (1, 2, 1)
    after = [run(number, tmp_path, "after") for number in (1, 4)]
    assert after[0] == pytest.approx(after[1], rel=1e-6)
    assert after[0]["taken"] == 4
    assert after[0]["params"] != pytest.approx(alone["params"], rel=1e-4)
