"""`import gradtx` opens JAX and nothing else that is large, and is quick about it."""

import functools
import inspect
import subprocess
import sys

import gradtx

HEAVY = ("chex", "hypothesis", "matplotlib", "optax", "rich", "scipy", "sklearn", "torch")


@functools.cache
def opened_by(name):
    """The modules that a process has after it has imported one."""
    command = [sys.executable, "-c", f"import {name}, sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.split())


def test_importing_gradtx_opens_no_library_but_jax():
    alone, with_gradtx = opened_by("jax"), opened_by("gradtx")
    assert "gradtx.core" in with_gradtx
    assert not {name for name in with_gradtx - alone if name.split(".")[0] in HEAVY}


def test_importing_gradtx_opens_no_part_of_it_that_few_programs_need():
    for part in ("cli", "interop", "recipes", "testing"):
        assert not {name for name in opened_by("gradtx") if name.startswith(f"gradtx.{part}")}


def test_the_public_list_is_sorted_and_whole():
    public = [name for name, thing in vars(gradtx).items() if not name.startswith("_") and not inspect.ismodule(thing)]
    assert gradtx.__all__ == sorted(gradtx.__all__)
    assert set(public) <= set(gradtx.__all__)
    assert all(hasattr(gradtx, name) for name in gradtx.__all__)
