"""The tests compile in a hurry (`conftest.py`); a few of them also as users do."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
CHOSEN = {"test_laws.py": "[adamw-", "oracles/test_optax.py": "[adamw- or [lion-"}


def test_laws_and_oracles_hold_without_flags_of_the_compiler():
    for file, names in CHOSEN.items():
        command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", str(TESTS / file), "-k", names]
        result = subprocess.run(
            command, cwd=TESTS.parent, env={**os.environ, "XLA_FLAGS": ""}, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout[-5000:]
        assert " passed" in result.stdout
