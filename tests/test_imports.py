"""`import gradtx` opens JAX and nothing else that is large, and is quick about it."""

import re
import subprocess
import sys

HEAVY = ("chex", "hypothesis", "matplotlib", "optax", "rich", "scipy", "sklearn", "torch")


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=True)


def test_importing_gradtx_opens_no_library_but_jax():
    alone, with_gradtx = (
        set(run("-c", f"import {name}, sys; print(*sys.modules)").stdout.split()) for name in ("jax", "gradtx")
    )
    assert "gradtx.core" in with_gradtx
    assert not {name for name in with_gradtx - alone if name.split(".")[0] in HEAVY}


def test_the_share_of_gradtx_in_its_import_is_printed():
    lines = run("-X", "importtime", "-c", "import gradtx").stderr.splitlines()
    rows = [re.match(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", line) for line in lines]
    own_time = {row[2]: int(row[1]) / 1000 for row in rows if row}
    gradtx = sum(time for name, time in own_time.items() if name.split(".")[0] == "gradtx")
    print(f"import gradtx: {sum(own_time.values()):.0f} ms, of which gradtx itself {gradtx:.0f} ms")
