"""A whole minimization in one compiled loop."""

import enum
import functools
from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.compiled import jit_for_each, keep_dtypes
from gradtx.core import (
    GradientTransformation,
    OptState,
    Params,
    Transformation,
    Updates,
    keeps_contract,
    with_extra_args_support,
)
from gradtx.errors import names_errors
from gradtx.optimizers.lbfgs import lbfgs
from gradtx.transforms.backtracking_linesearch import ScaleByBacktrackingLinesearchState
from gradtx.transforms.zoom_linesearch import ScaleByZoomLinesearchState
from gradtx.tree import mismatch
from gradtx.tree.dtypes import working_dtype
from gradtx.update import apply_updates

_Tree = TypeVar("_Tree")


class MinimizeStatus(enum.IntEnum):
    """Why a minimization has ended: `MinimizeStatus(int(result.status)).name`."""

    CONVERGED = 0
    MAX_STEPS = 1
    LINE_SEARCH_FAILED = 2
    NOT_FINITE = 3


class MinimizeResult(NamedTuple, Generic[_Tree]):
    """What `minimize` returns.

    Attributes:
      params: the last parameters.
      value: of the objective there.
      grad_norm: the largest magnitude of an entry of the gradient there.
      num_steps: how many steps were taken, those included that a failed line search took back.
      num_evaluations: how often the objective was computed, by line searches too.
      status: a `MinimizeStatus` as an int32.
      values: the value after each step; NaN after the last.
    """

    params: _Tree
    value: jax.Array
    grad_norm: jax.Array
    num_steps: jax.Array
    num_evaluations: jax.Array
    status: jax.Array
    values: jax.Array


class _Point(NamedTuple):
    params: Params
    value: jax.Array
    grad: Updates


class _Run(NamedTuple):
    """Where a minimization is.

    `fresh` tells that the state has been that of `init` since there was progress: a value or a gradient below the least.
    """

    point: _Point
    state: OptState
    fresh: jax.Array
    least_value: jax.Array
    least_norm: jax.Array
    num_steps: jax.Array
    num_evaluations: jax.Array
    status: jax.Array
    values: jax.Array


_RUNNING = -1


@names_errors
@keeps_contract(max_steps=require.AT_LEAST_ONE)
def minimize(
    fun: Callable[..., Any],
    x0: _Tree,
    *,
    args: tuple[Any, ...] = (),
    tx: Transformation = lbfgs(),  # noqa: B008 - a value
    tol: float = 1e-5,
    max_steps: int = 1000,
) -> MinimizeResult[_Tree]:
    """Minimize a function from a starting point, by L-BFGS unless told otherwise.

        result = gradtx.minimize(rosenbrock, jnp.zeros(10))
        gradtx.MinimizeStatus(int(result.status)).name        # 'CONVERGED'

    It stops where no entry of the gradient is larger than `tol`. It is one loop, compiled once for the same `fun` and `tx` and
    forgotten with them (data that change belong into `args`), and works under `jit` and `vmap`: then every member of a batch
    stops by itself.

    The parameters returned are the last. A step that leads where the value or the gradient is not finite is taken back, and
    so is one of a line search that found no decrease: then the run goes on with the state of `init`. It ends if that brings
    neither a smaller value nor a smaller gradient until the next failure, as where rounding hides every decrease.

    Args:
      fun: the objective `fun(params, *args)`, a real scalar.
      x0: the parameters to begin with, a tree of floating-point or complex arrays.
      args: further arguments of `fun`, trees of arrays.
      tx: a transformation that may read `value`, `grad` and `value_fn`.
      tol: the largest entry of the gradient to stop at, `gtol` in SciPy.
      max_steps: the largest number of steps.

    Raises:
      TypeError: a leaf of `x0` is not a floating-point or complex array, or an argument is of another kind.
      ValueError: `max_steps` is less than 1, or `tol` not finite.
    """
    mismatch.check_params(x0)
    return _minimize((fun, tx, max_steps), jax.tree.map(jnp.asarray, x0), args, tol)


@jit_for_each
def _minimize(
    static: tuple[Callable[..., Any], GradientTransformation, int], x0: Params, args: tuple[Any, ...], tol: Any
) -> MinimizeResult:
    fun, tx, max_steps = static
    tx = with_extra_args_support(tx)
    dtype = working_dtype(jax.tree.leaves(x0))

    def value_fn(params: Params) -> Any:
        return fun(params, *args)

    def evaluated(params: Params) -> _Point:
        value, grad = jax.value_and_grad(value_fn)(params)
        return _Point(params, value.astype(dtype), grad)

    def reason(point: _Point, norm: jax.Array, num_steps: jax.Array, stuck: Any = False) -> jax.Array:
        """Why to stop at a point: the first reason that applies."""
        reasons = {
            MinimizeStatus.NOT_FINITE: ~(jnp.isfinite(point.value) & jnp.isfinite(norm)),
            MinimizeStatus.CONVERGED: norm <= jnp.asarray(tol, norm.dtype),
            MinimizeStatus.LINE_SEARCH_FAILED: jnp.asarray(stuck),
            MinimizeStatus.MAX_STEPS: num_steps >= max_steps,
        }
        return jnp.select(list(reasons.values()), [jnp.int32(status) for status in reasons], jnp.int32(_RUNNING))

    def step(run: _Run) -> _Run:
        old = run.point
        # JAX's gradient of a complex parameter is the conjugate of the direction that a transformation takes.
        updates, state = tx.update(
            tree.conj(old.grad), run.state, old.params, value=old.value, grad=old.grad, value_fn=value_fn
        )
        params = apply_updates(old.params, updates)
        state = keep_dtypes(state, run.state)
        search = _last_search(state)
        new = (
            evaluated(params)
            if search is None
            else _Point(params, search.value.astype(dtype), tree.cast_like(search.grad, params))
        )
        norm = tree.norm(new.grad, ord="inf")

        errors = _reported(state, "decrease_error") + _reported(state, "curvature_error")
        failed = _any(error > 0 for error in errors) & ~(new.value < old.value)
        fresh = run.fresh & ~((new.value < run.least_value) | (norm < run.least_norm))
        num_steps = run.num_steps + 1
        status = reason(new, norm, num_steps, failed & fresh)
        point = tree.where(failed | (status == MinimizeStatus.NOT_FINITE), old, new)
        return _Run(
            point=point,
            state=tree.where(failed, tx.init(old.params), state) if errors else state,
            fresh=fresh | failed,
            least_value=jnp.minimum(run.least_value, new.value),
            least_norm=jnp.minimum(run.least_norm, norm),
            num_steps=num_steps,
            num_evaluations=run.num_evaluations + int(search is None) + sum(_reported(state, "num_linesearch_steps")),
            status=status,
            values=run.values.at[run.num_steps].set(point.value),
        )

    start, zero = evaluated(x0), jnp.zeros((), jnp.int32)
    norm = tree.norm(start.grad, ord="inf")
    run = _Run(
        point=start,
        state=tx.init(x0),
        fresh=jnp.ones((), bool),
        least_value=start.value,
        least_norm=norm,
        num_steps=zero,
        num_evaluations=zero + 1,
        status=reason(start, norm, zero),
        values=jnp.full(max_steps, jnp.nan, dtype),
    )
    run = tree.varying_like(start, run)
    run = jax.lax.while_loop(lambda run: run.status == _RUNNING, step, run)
    norm = tree.norm(run.point.grad, ord="inf")
    return MinimizeResult(run.point.params, run.point.value, norm, run.num_steps, run.num_evaluations, run.status, run.values)


def _last_search(state: OptState) -> Any:
    """The state of the line search that had the last word, with the value and gradient where it led; None if none had."""
    while type(state) is tuple and state:  # that of a chain
        state = state[-1]
    searched = isinstance(state, ScaleByZoomLinesearchState | ScaleByBacktrackingLinesearchState)
    return state if searched and state.grad is not None else None


def _reported(state: OptState, name: str) -> list[jax.Array]:
    """What the line searches of a state report by this name."""
    return [value for _, value in tree.get_all_with_path(state, name)]


def _any(conditions: Iterable[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.logical_or, conditions, jnp.zeros((), bool))
