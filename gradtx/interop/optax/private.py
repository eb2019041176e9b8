"""Every private module of Optax (`optax._src.base`, `optax.transforms._masking`, ...) at once.

Programs import public names through them, and pickled states name them. None of them is rebuilt here: whichever is asked
for, this one answers, with all of Optax's public names and the few others that programs take from there.
"""

import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import jax
import jax.numpy as jnp

import gradtx.interop.optax as public
from gradtx import WrappedScheduleState as WrappedScheduleState
from gradtx import multi_normal
from gradtx.core import PROTOCOL_EXTRA_ARGS as PROTOCOL_EXTRA_ARGS
from gradtx.interop.optax.layout import HOMES, missing
from gradtx.linalg import Preconditioning, orthogonalize
from gradtx.optimizers.lbfgs import multiply_by_inverse_hessian
from gradtx.optimizers.muon import MuonDimensionNumbers
from gradtx.transforms import zoom_linesearch
from gradtx.tree.matrices import as_matrices, from_matrices

MultiNormalDiagFromLogScale = multi_normal
x64_precision = jax.enable_x64
PRNGKey = jax.Array
Shape = Sequence[int]
PyTree = ArrayTree = ScheduleState = Any
FLAG_INTERVAL_NOT_FOUND = zoom_linesearch.NO_INTERVAL
FLAG_INTERVAL_TOO_SMALL = zoom_linesearch.NARROW
FLAG_CURVATURE_COND_NOT_SATISFIED = zoom_linesearch.STEEP
FLAG_NO_STEPSIZE_FOUND = zoom_linesearch.NO_RATE
FLAG_NOT_A_DESCENT_DIRECTION = zoom_linesearch.UPHILL
NO_PARAMS_MSG = "This transformation reads the parameters: call update(updates, state, params)."

MODULES = """
    alias base clipping combine constrain deprecations factorized linear_algebra linesearch lookahead numerics
    schedule transform update utils wrappers _acprop _accumulation _ademamix _adding _adopt _aggregating _casting
    _classification _clipping _cocob _combining _complex_valued _conditionality _constraining _dadapt_adamw _deprecated
    _dog _fenchel_young _freezing _galore _hungarian_algorithm _inject _join _layouts _madgrad _make_pert _masking
    _mechanic _microbatching _momo _monitoring _muon _privacy _prodigy _projections _random _ranking _reduce_on_plateau
    _regression _sam _schedule _schedule_free _segmentation _self_supervised _smoothing _sophia _state_utils _tree_math
"""
_refuse = missing("optax._src")
_SEARCHED = ("contrib", "transforms", "tree_utils", *HOMES)  # for a name that `optax` itself does not have


def canonicalize_dtype(dtype: Any) -> Any:
    """Return the dtype that JAX uses for another, and None for None."""
    return None if dtype is None else jax.dtypes.canonicalize_dtype(dtype)


def abs_sq(x: jax.Array) -> jax.Array:
    """Return |x|², of integers, too; that of gradtx ends at the largest number."""
    if not hasattr(x, "dtype"):
        raise ValueError(f"abs_sq takes an array, got {x!r}.")
    return (jnp.conj(x) * x).real


def tile_second_to_last_dim(a: jax.Array) -> jax.Array:
    """Return the array with each entry of its last axis repeated: entry [..., i, j] is a[..., i]."""
    return jnp.broadcast_to(a[..., None], (*a.shape, a.shape[-1]))


def set_diags(a: jax.Array, new_diags: jax.Array) -> jax.Array:
    """Return n square matrices with other diagonals, the rows of `new_diags`."""
    if a.ndim != 3:
        raise ValueError(f"Expected `a` to be a 3D tensor, got the shape {a.shape}.")
    if new_diags.ndim != 2:
        raise ValueError(f"Expected `new_diags` to be a 2D array, got the shape {new_diags.shape}.")
    count, size, columns = a.shape
    if columns != size:
        raise ValueError(f"Shape mismatch: expected `a.shape` to be {(count, size, size)}, got {a.shape}.")
    if new_diags.shape != (count, size):
        raise ValueError(f"Shape mismatch: expected `new_diags.shape` to be {(count, size)}, got {new_diags.shape}.")
    return jnp.where(jnp.eye(size, dtype=bool), new_diags[..., None].astype(a.dtype), a)


def orthogonalize_via_newton_schulz(
    x: jax.Array,
    ns_coeffs: jax.Array,
    ns_steps: int = 5,
    preconditioning: Preconditioning = "frobenius",
    eps: float = 1e-8,
    dimension_numbers: MuonDimensionNumbers | None = None,
) -> jax.Array:
    """Return nearly the orthogonal factor of the matrices that an array holds; see `orthogonalize` of `gradtx.linalg`."""
    if x.ndim != 2 and dimension_numbers is None:
        raise ValueError(f"An array of the shape {x.shape} needs dimension_numbers, which say what its matrices are.")
    reshape, inverse = _compute_muon_reshape(x, MuonDimensionNumbers() if x.ndim == 2 else dimension_numbers)
    rows = jnp.broadcast_to(ns_coeffs, (ns_steps, 3)) if ns_coeffs.ndim == 1 else ns_coeffs
    return inverse(orthogonalize(reshape(x), rows, preconditioning, eps))


def _compute_muon_reshape(x: jax.Array, dim_nums: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    shape = as_matrices(x, [dim_nums]).shape

    def reshape(x: jax.Array) -> jax.Array:
        return as_matrices(x, [dim_nums]).reshape(-1, *shape[-2:])

    def inverse(matrices: jax.Array) -> jax.Array:
        return from_matrices(matrices.reshape(shape), x, [dim_nums])

    return reshape, inverse


def _precondition_by_lbfgs(
    updates: Any,
    diff_params_memory: Any,
    diff_updates_memory: Any,
    weights_memory: jax.Array,
    identity_scale: Any,
    memory_idx: Any,
) -> Any:
    size = len(weights_memory)
    newest_first = (memory_idx - 1 - jnp.arange(size)) % size
    return multiply_by_inverse_hessian(
        updates, diff_params_memory, diff_updates_memory, weights_memory, jnp.asarray(identity_scale), newest_first
    )


def is_module(name: str) -> bool:
    """Return whether a private module of Optax's has this name."""
    return name in MODULES.split()


def __getattr__(name: str) -> Any:
    for module in (public, *(attrgetter(each)(public) for each in _SEARCHED)):
        if name in vars(module):
            return vars(module)[name]
    return sys.modules[__name__] if is_module(name) else _refuse(name)
