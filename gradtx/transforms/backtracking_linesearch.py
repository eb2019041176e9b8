"""Backtracking: smaller steps until the objective decreases enough (Armijo 1966)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.compiled import compiled
from gradtx.core import GradientTransformationExtraArgs, Params, Updates, factory
from gradtx.numerics import safe_increment
from gradtx.transforms.linesearch import ValueFn, nonnegative, objective, scaled, slope, usable
from gradtx.tree import mismatch
from gradtx.tree.dtypes import working_dtype
from gradtx.update import apply_updates


class BacktrackingLinesearchInfo(NamedTuple):
    """Steps that were tried, and how far the decrease fell short: 0 if the search succeeded."""

    num_linesearch_steps: jax.Array
    decrease_error: jax.Array


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """The learning rate found, and the value and the gradient (None if it is not stored) where it leads."""

    learning_rate: jax.Array
    value: jax.Array
    grad: Updates | None
    info: BacktrackingLinesearchInfo


class _Search(NamedTuple):
    """Steps that were tried, and what is known of the last one."""

    count: jax.Array
    learning_rate: jax.Array
    decrease_error: jax.Array
    value: jax.Array
    grad: Updates | None


@factory(
    max_backtracking_steps=require.NONNEGATIVE,
    slope_rtol=require.NONNEGATIVE,
    decrease_factor=require.Range(low=0, high=1, low_included=False, high_included=False),
    increase_factor=require.AT_LEAST_ONE._replace(infinite=True),
    max_learning_rate=require.POSITIVE,
    atol=require.NONNEGATIVE,
    rtol=require.NONNEGATIVE,
)
def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: float = 1e-4,
    decrease_factor: float = 0.8,
    increase_factor: float = 1.5,
    max_learning_rate: float = 1.0,
    atol: float = 0.0,
    rtol: float = 0.0,
    store_grad: bool = False,
    verbose: bool = False,
) -> GradientTransformationExtraArgs:
    """Backtracking line search (Armijo): scale the updates until the objective decreases by a part of what its slope promises.

        η ← min(increase_factor·η, max_learning_rate),   then η ← decrease_factor·η until
        f(p + η·u) ≤ (1 + rtol)·f(p) + slope_rtol·η·⟨∇f(p), u⟩ + atol

    The updates are to point downhill, as those of `sgd(1.0)` do: put the search behind an optimizer. If the objective is not
    finite at the last try either, the parameters stay, and the next search starts again.

    `update` reads `value=`, `grad=` and `value_fn=`, the objective with its value and gradient at the parameters; what
    `value_fn` takes by keyword is given to `update` by keyword.

    Args:
      max_backtracking_steps: how often η is made smaller at most.
      slope_rtol: which part of the slope the decrease must reach.
      decrease_factor: what η is multiplied by while the decrease is too small.
      increase_factor: what the last η is multiplied by to begin with; inf begins with `max_learning_rate`.
      max_learning_rate: the largest η.
      atol: how much the decrease may fall short.
      rtol: how much it may fall short, relative to f.
      store_grad: whether to keep the gradient of the last try for `value_and_grad_from_state`.
      verbose: whether to print searches that failed.

    References:
      Armijo, Minimization of Functions Having Lipschitz Continuous First Partial Derivatives, 1966,
        https://doi.org/10.2140/pjm.1966.16.1
      Vaswani et al., Painless Stochastic Gradient: Interpolation, Line-Search, and Convergence Rates, 2019,
        https://arxiv.org/abs/1905.09997
    """

    def init(params: Params) -> ScaleByBacktrackingLinesearchState:
        mismatch.check_params(params)
        dtype = working_dtype(jax.tree.leaves(params))
        return ScaleByBacktrackingLinesearchState(
            learning_rate=jnp.ones((), dtype),
            value=jnp.full((), jnp.inf, dtype),
            grad=tree.moment_like(params) if store_grad else None,
            info=BacktrackingLinesearchInfo(jnp.zeros((), jnp.int32), jnp.full((), jnp.inf, dtype)),
        )

    @compiled
    def update(
        updates: Updates,
        state: ScaleByBacktrackingLinesearchState,
        params: Params,
        *,
        value: Any,
        grad: Updates,
        value_fn: ValueFn,
        **extra_args: Any,
    ):
        f = objective(value_fn, extra_args)
        dtype = state.value.dtype
        value = jnp.asarray(value, dtype)
        # Hyperparameters may be arrays of another precision.
        part, shrink, grow, largest, atol_, rtol_ = (
            jnp.asarray(x, dtype) for x in (slope_rtol, decrease_factor, increase_factor, max_learning_rate, atol, rtol)
        )
        with mismatch.explaining(g=updates, p=params):
            slope_at_start = slope(grad, updates).astype(dtype)

        def unfinished(search: _Search):
            return (search.decrease_error > atol_) & (search.count <= max_backtracking_steps)

        def smaller(search: _Search):
            rate = jnp.where(search.count > 0, shrink * search.learning_rate, search.learning_rate)
            trial = apply_updates(params, scaled(updates, rate))
            new_value, pullback = jax.vjp(f, trial)
            seed = jnp.ones_like(new_value)
            new_value = new_value.astype(dtype)
            error = nonnegative(new_value - (1 + rtol_) * value - part * rate * slope_at_start)
            search = _Search(safe_increment(search.count), rate, error, new_value, search.grad)
            if not store_grad:
                return search
            last = jnp.logical_not(unfinished(search))
            new_grad = jax.lax.cond(last, lambda: tree.cast_like(pullback(seed)[0], search.grad), lambda: search.grad)
            return search._replace(grad=new_grad)

        start = _Search(
            count=jnp.zeros((), jnp.int32),
            learning_rate=jnp.minimum(grow * usable(state.learning_rate), largest),
            decrease_error=jnp.full((), jnp.inf, dtype),
            value=value,
            grad=state.grad,
        )
        start = tree.varying_like((updates, params, value, grad), start)
        end = jax.lax.while_loop(unfinished, smaller, start)
        if verbose:
            _report(end, value, slope_at_start, atol_)
        nowhere = jnp.isinf(end.decrease_error)
        rate = jnp.where(nowhere, 0, end.learning_rate)
        state = ScaleByBacktrackingLinesearchState(
            learning_rate=rate,
            value=jnp.where(nowhere, value, end.value),
            grad=tree.where(nowhere, tree.cast_like(grad, state.grad), end.grad) if store_grad else None,
            info=BacktrackingLinesearchInfo(end.count, end.decrease_error),
        )
        return scaled(updates, rate), state

    return GradientTransformationExtraArgs(init, update)


def _report(search: _Search, value: jax.Array, slope_at_start: jax.Array, atol: jax.Array) -> None:
    def failed() -> None:
        jax.debug.print(
            "scale_by_backtracking_linesearch: no sufficient decrease of the value {value} with slope {slope} in {count} "
            "tries; the last, with learning rate {rate}, misses it by {error}.",
            value=value,
            slope=slope_at_start,
            count=search.count,
            rate=search.learning_rate,
            error=search.decrease_error,
        )

    jax.lax.cond(search.decrease_error > atol, failed, lambda: None)
