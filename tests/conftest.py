"""What all tests share: strict promotion, four CPU devices, float64 on request, a compiler in a hurry."""

import os
import re

import jax
import pytest

# Most of the time goes to compiling what runs once, on a few numbers: a simpler code generator, which makes one module of each
# program, takes half as long. With XLA_FLAGS="" the tests run on what users run on. Notebooks and commands inherit the flags.
# XLA ends a process that has a flag which it does not know, as may be in another version.
QUICK_TO_COMPILE = (
    "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=1 --xla_cpu_parallel_codegen_split_count=1"
)
if jax.__version_info__[:2] == (0, 10):
    os.environ.setdefault("XLA_FLAGS", QUICK_TO_COMPILE)

jax.config.update("jax_num_cpu_devices", 4)
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
