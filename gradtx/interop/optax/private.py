"""Every private module of Optax (`optax._src.base`, `optax.transforms._masking`, ...) at once.

Programs import public names through them, and pickled states name them. None of them is rebuilt here: whichever is asked
for, this one answers, with all of Optax's public names and the few others that programs take from there.
"""

import sys
from collections.abc import Sequence
from typing import Any

import jax

import gradtx.interop.optax as public
from gradtx import WrappedScheduleState as WrappedScheduleState
from gradtx import multi_normal
from gradtx.core import PROTOCOL_EXTRA_ARGS as PROTOCOL_EXTRA_ARGS
from gradtx.interop.optax.missing import missing
from gradtx.numerics import abs_sq as abs_sq

MultiNormalDiagFromLogScale = multi_normal
x64_precision = jax.enable_x64
PRNGKey = jax.Array
Shape = Sequence[int]
PyTree = ArrayTree = ScheduleState = Any
NO_PARAMS_MSG = "This transformation reads the parameters: call update(updates, state, params)."

# The import system looks for `optax._src.base` only in what has a path: this module is one package, and all that is in it.
__path__: list[str] = []
MODULES = """
    _src alias base clipping combine constrain deprecations factorized linear_algebra linesearch lookahead numerics
    schedule transform update utils wrappers _acprop _accumulation _ademamix _adding _adopt _aggregating _casting
    _classification _clipping _cocob _combining _complex_valued _conditionality _constraining _dadapt_adamw _deprecated
    _dog _fenchel_young _freezing _galore _hungarian_algorithm _inject _join _layouts _madgrad _make_pert _masking
    _mechanic _microbatching _momo _monitoring _muon _privacy _prodigy _projections _random _ranking _reduce_on_plateau
    _regression _sam _schedule _schedule_free _segmentation _self_supervised _smoothing _sophia _state_utils _tree_math
"""
_refuse = missing("optax._src")


def canonicalize_dtype(dtype: Any) -> Any:
    """Return the dtype that JAX uses for another, and None for None."""
    return None if dtype is None else jax.dtypes.canonicalize_dtype(dtype)


def is_module(name: str) -> bool:
    """Return whether a private module of Optax's has this name."""
    return name in MODULES.split()


def __getattr__(name: str) -> Any:
    if is_module(name):
        return sys.modules[__name__]
    for module in (
        *(public, public.contrib, public.transforms, public.tree_utils, public.losses, public.schedules, public.projections),
        *(public.assignment, public.perturbations, public.microbatching, public.second_order, public.experimental.aggregating),
    ):
        if name in vars(module):
            return vars(module)[name]
    return _refuse(name)
