"""`import gradtx` opens JAX and nothing else that is large, and is quick about it."""

import inspect
import subprocess
import sys

import gradtx

HEAVY = ("chex", "hypothesis", "matplotlib", "optax", "rich", "scipy", "sklearn", "torch")


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=True)


def test_importing_gradtx_opens_no_library_but_jax():
    alone, with_gradtx = (
        set(run("-c", f"import {name}, sys; print(*sys.modules)").stdout.split()) for name in ("jax", "gradtx")
    )
    assert "gradtx.core" in with_gradtx
    assert not {name for name in with_gradtx - alone if name.split(".")[0] in HEAVY}


def test_importing_gradtx_opens_no_part_of_it_that_few_programs_need():
    opened = run("-c", "import gradtx, sys; print(*sys.modules)").stdout.split()
    for part in ("cli", "interop", "testing"):
        assert not {name for name in opened if name.startswith(f"gradtx.{part}")}


def test_the_public_list_is_sorted_and_whole():
    public = [name for name, thing in vars(gradtx).items() if not name.startswith("_") and not inspect.ismodule(thing)]
    assert gradtx.__all__ == sorted(gradtx.__all__)
    assert set(public) <= set(gradtx.__all__)
    assert all(hasattr(gradtx, name) for name in gradtx.__all__)
