"""What all tests share: strict promotion, eight CPU devices, float64 on request, and what makes them quick."""

import functools
import gc
import itertools
import os
import re
from pathlib import Path

import jax
import pytest
from jax._src.interpreters import mlir

# Most of the time goes to compiling what runs once, on a few numbers: a simpler code generator, which makes one module of each
# program, takes half as long. With XLA_FLAGS="" the tests run on what users run on. Notebooks and commands inherit the flags.
# XLA ends a process that has a flag which it does not know: only versions that were tried get any.
QUICK_TO_COMPILE = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if (0, 8) <= jax.__version_info__[:2] <= (0, 12):
    emitters = "--xla_cpu_use_fusion_emitters=false" if jax.__version_info__[:2] <= (0, 10) else ""
    os.environ.setdefault("XLA_FLAGS", f"{QUICK_TO_COMPILE} {emitters}".strip())

# What was compiled is kept for both workers, for the processes that tests start and for the next run. Deleting the folder
# costs no more than the time to compile again; JAX_ENABLE_COMPILATION_CACHE=false leaves it out.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gradtx" / "compiled"
KEPT = {
    "jax_compilation_cache_dir": str(CACHE),
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ |= {option.upper(): str(value) for option, value in KEPT.items()}
    for option, value in KEPT.items():
        jax.config.update(option, value)

# Before 0.12, JAX makes a context of the compiler for each program, which takes longer than to lower a small program into it.
# Here programs share one; it is replaced now and then, as it keeps the constants of all of them.
if jax.__version_info__ < (0, 12):
    new_context, programs = mlir.make_ir_context, itertools.count()
    context_of = functools.lru_cache(maxsize=1)(lambda hundred: new_context())
    mlir.make_ir_context = lambda: context_of(next(programs) // 100)

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def x64():
    """Compute in float64 within the test."""
    with jax.enable_x64(True):
        yield


def pytest_make_parametrize_id(val):
    """Name a test by its arguments, and functions in them by their names: addresses would differ between worker processes."""
    if isinstance(val, dict):
        shown = ",".join(f"{name}={getattr(argument, '__name__', argument)}" for name, argument in val.items()) or "defaults"
    elif isinstance(val, tuple) and hasattr(val, "update"):
        shown = repr(val)  # a transformation
    else:
        return getattr(val, "__name__", None) if callable(val) else None
    return re.sub(r"<function (\S+) at 0x[0-9a-f]+>", r"\1", shown)


def pytest_collection_modifyitems(items):
    """Mark the tests of the samples that stand for their families."""
    import zoo  # which opens gradtx, after what is set above

    for item in items:
        arguments = item.callspec.params if hasattr(item, "callspec") else {}
        if arguments.get("label") in zoo.QUICK:
            item.add_marker(pytest.mark.quick)


def pytest_collection_finish():
    """Look for garbage less often: tracing makes much that lives."""
    gc.set_threshold(100_000, 10, 10)


@pytest.fixture(autouse=True, scope="module")
def _what_is_there_is_no_garbage():
    """Look for garbage in what the tests of a file make: not again in what was imported, and compiled for those before."""
    gc.collect()
    gc.freeze()
