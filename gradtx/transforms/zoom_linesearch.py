"""Zoom: a step to where the objective decreases and flattens enough (Nocedal & Wright 2006, Hager & Zhang 2006)."""

import functools
import math
from typing import Any, Literal, NamedTuple

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


class ZoomLinesearchInfo(NamedTuple):
    """Steps that were tried, and how far the last one missed the two conditions: 0 where it met them."""

    num_linesearch_steps: jax.Array
    decrease_error: jax.Array
    curvature_error: jax.Array


class ScaleByZoomLinesearchState(NamedTuple):
    """The learning rate found, and the value and the gradient where it leads."""

    learning_rate: jax.Array
    value: jax.Array
    grad: Updates
    info: ZoomLinesearchInfo


class _Point(NamedTuple):
    """A point of the line."""

    rate: jax.Array
    value: jax.Array
    slope: jax.Array


class _Try(NamedTuple):
    """A point of the line with its gradient, and how far it misses the conditions."""

    point: _Point
    grad: Updates
    decrease_error: jax.Array
    curvature_error: jax.Array


class _Search(NamedTuple):
    """The last try, the best of those that decrease enough, and the bracket around the minimum once there is one.

    `low` has the smallest value so far, `high` is the other end (on either side), `third` a point for the cubic.
    """

    count: jax.Array
    last: _Try
    best: _Try
    bracketed: jax.Array
    low: _Point
    high: _Point
    third: _Point
    done: jax.Array
    failed: jax.Array


# Why a search failed, as `verbose` prints it.
UPHILL = "The updates do not descend: the slope is not below 0."
NO_RATE = "No learning rate has a sufficient decrease."
NO_INTERVAL = "No interval with a minimum was found: max_linesearch_steps or max_learning_rate may be too small."
NARROW = "The interval with the minimum has become narrower than stepsize_precision."
STEEP = "A learning rate has a sufficient decrease, but its slope is too large."


@factory(
    max_linesearch_steps=require.AT_LEAST_ONE,
    max_learning_rate=require.LIMIT,
    tol=require.NONNEGATIVE,
    increase_factor=require.Range(low=1, low_included=False),
    slope_rtol=require.NONNEGATIVE,
    curv_rtol=require.NONNEGATIVE,
    approx_dec_rtol=require.NONNEGATIVE,
    stepsize_precision=require.NONNEGATIVE,
)
def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: float | None = None,
    tol: float = 0.0,
    increase_factor: float = 2.0,
    slope_rtol: float = 1e-4,
    curv_rtol: float = 0.9,
    approx_dec_rtol: float | None = 1e-6,
    stepsize_precision: float = 1e-5,
    initial_guess_strategy: Literal["one", "keep"] = "keep",
    verbose: bool = False,
) -> GradientTransformationExtraArgs:
    """Zoom line search (Wolfe): scale the updates so that the objective decreases enough and its slope is small enough.

        φ(η) = f(p + η·u)
        decrease:   φ(η) ≤ φ(0) + slope_rtol·η·φ'(0)
              or    φ'(η) ≤ (2·slope_rtol − 1)·φ'(0)  and  φ(η) ≤ φ(0) + approx_dec_rtol·|φ(0)|
        curvature:  |φ'(η)| ≤ curv_rtol·|φ'(0)|

    η grows until there is a minimum between two tries; then a cubic, a parabola or the middle says where to try next. The
    second form of the first condition decides near a minimum, where the difference of two values is nothing but rounding.
    If no try meets both conditions, the best that meets the first is taken; if none does, the last; if that is not finite,
    the parameters stay, and the next search starts again.

    `update` reads `value=`, `grad=` and `value_fn=`, the objective with its value and gradient at the parameters; what
    `value_fn` takes by keyword is given to `update` by keyword. The updates are to point downhill.

    Args:
      max_linesearch_steps: how often the objective and its gradient are computed at most.
      max_learning_rate: the largest η; None for no limit.
      tol: how far either condition may be missed.
      increase_factor: what η is multiplied by until there is a bracket.
      slope_rtol: which part of the slope the decrease must reach.
      curv_rtol: which part of the slope may be left; inf asks for the decrease alone.
      approx_dec_rtol: how much the value may grow where the slope decides; None for never.
      stepsize_precision: the length of a bracket that is not divided further, once the objective has decreased enough.
      initial_guess_strategy: "keep" begins with the last η, for gradient descent; "one" with 1, for quasi-Newton methods.
      verbose: whether to print searches that failed, and why.

    Raises:
      ValueError: the strategy is another word.

    References:
      Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 3.5 and 3.6, 2006,
        https://doi.org/10.1007/978-0-387-40065-5
      Hager and Zhang, Algorithm 851: CG_DESCENT, a Conjugate Gradient Method with Guaranteed Descent, 2006,
        https://doi.org/10.1145/1132973.1132979
    """

    def init(params: Params) -> ScaleByZoomLinesearchState:
        dtype = working_dtype(jax.tree.leaves(params))
        unknown = [jnp.full((), jnp.inf, dtype) for _ in range(3)]
        return ScaleByZoomLinesearchState(
            learning_rate=jnp.ones((), dtype),
            value=unknown[0],
            grad=tree.moment_like(params),
            info=ZoomLinesearchInfo(jnp.zeros((), jnp.int32), *unknown[1:]),
        )

    @compiled
    def update(
        updates: Updates,
        state: ScaleByZoomLinesearchState,
        params: Params,
        *,
        value: Any,
        grad: Updates,
        value_fn: ValueFn,
        **extra_args: Any,
    ):
        f = jax.value_and_grad(objective(value_fn, extra_args))
        dtype = state.value.dtype
        # Hyperparameters may be arrays of another precision.
        c1, c2, tolerance, grow, precision, largest, near = (
            jnp.asarray(x, dtype)
            for x in (
                slope_rtol,
                curv_rtol,
                tol,
                increase_factor,
                stepsize_precision,
                math.inf if max_learning_rate is None else max_learning_rate,
                0 if approx_dec_rtol is None else approx_dec_rtol,
            )
        )
        with mismatch.explaining(g=updates, p=params):
            slope_at_start = slope(grad, updates).astype(dtype)
        start = _Point(jnp.zeros((), dtype), jnp.asarray(value, dtype), slope_at_start)
        guess = jnp.ones((), dtype) if initial_guess_strategy == "one" else usable(state.learning_rate)

        def attempt(rate: jax.Array) -> _Try:
            new_value, new_grad = f(apply_updates(params, scaled(updates, rate)))
            point = _Point(rate, new_value.astype(dtype), slope(new_grad, updates).astype(dtype))
            flatness = nonnegative(jnp.abs(point.slope) - c2 * jnp.abs(start.slope))
            return _Try(point, tree.cast_like(new_grad, state.grad), decrease_error(point), flatness)

        def decrease_error(point: _Point) -> jax.Array:
            error = point.value - start.value - c1 * point.rate * start.slope
            if approx_dec_rtol is not None:
                rise = point.value - start.value - near * jnp.abs(start.value)
                error = jnp.minimum(error, jnp.maximum(rise, point.slope - (2 * c1 - 1) * start.slope))
            return nonnegative(error)

        def proceed(search: _Search) -> _Search:
            longer = jnp.where(search.count > 0, grow * search.last.point.rate, guess)
            rate = jnp.where(search.bracketed, _between(search), jnp.minimum(longer, largest))
            new = attempt(rate)
            decreases = new.decrease_error <= tolerance
            good = decreases & (new.curvature_error <= tolerance)
            improves = decreases & (~search.bracketed | (new.point.value < search.best.point.value))
            low, high, third, bracketed = tree.where(search.bracketed, _narrowed(search, new), _bracket(search, new))
            bracketed = bracketed | good
            done = good | (~bracketed & (longer >= largest))
            best = tree.where(improves, new, search.best)
            narrow = search.bracketed & (jnp.abs(search.high.rate - search.low.rate) <= precision) & (best.point.rate > 0)
            count = safe_increment(search.count)
            failed = ~done & (narrow | (count >= max_linesearch_steps))
            return _Search(count, new, best, bracketed, low, high, third, done, failed)

        no = jnp.zeros((), bool)
        unknown = jnp.full((), jnp.inf, dtype)
        nowhere = _Try(start, tree.cast_like(grad, state.grad), unknown, unknown)
        search = _Search(jnp.zeros((), jnp.int32), nowhere, nowhere, no, start, start, start, no, no)
        search = tree.varying_like((updates, params, start), search)
        search = jax.lax.while_loop(lambda search: ~(search.done | search.failed), proceed, search)
        if verbose:
            _report(search, start, precision)
        settles = search.failed & ((search.best.point.rate > 0) | jnp.isinf(search.last.decrease_error))
        end = tree.where(settles, search.best, search.last)
        info = ZoomLinesearchInfo(search.count, search.last.decrease_error, search.last.curvature_error)
        state = ScaleByZoomLinesearchState(end.point.rate, end.point.value, end.grad, info)
        return scaled(updates, end.point.rate), state

    return GradientTransformationExtraArgs(init, update)


_Bracket = tuple[_Point, _Point, _Point, jax.Array]


def _bracket(search: _Search, new: _Try) -> _Bracket:
    """The interval between the last try and the new one if a minimum is in it (algorithm 3.5)."""
    old, point = search.last.point, new.point
    too_far = (new.decrease_error > 0) | ((point.value >= old.value) & (search.count > 0))
    rises = ~too_far & (point.slope >= 0)
    low, high = tree.where(rises, (point, old), (old, point))
    return low, high, low, too_far | rises


def _narrowed(search: _Search, new: _Try) -> _Bracket:
    """The part of the bracket that holds a minimum, as the new try divides it (algorithm 3.6)."""
    low, high, point = search.low, search.high, new.point
    worse = (new.decrease_error > 0) | (point.value >= low.value)
    crossed = ~worse & (point.slope * (high.rate - low.rate) >= 0)
    new_high = tree.where(worse, point, tree.where(crossed, low, high))
    return tree.where(worse, low, point), new_high, tree.where(worse | crossed, high, low), search.bracketed


def _between(search: _Search) -> jax.Array:
    """The minimum of a cubic, else of a parabola, else the middle: the first that keeps off the ends of the bracket."""
    low, high = search.low, search.high

    def inside(rate: jax.Array, margin: float) -> jax.Array:
        return jnp.abs(rate - (low.rate + high.rate) / 2) < (0.5 - margin) * jnp.abs(high.rate - low.rate)

    cubic, parabola = _minimum_of_cubic(low, high, search.third), _minimum_of_parabola(low, high)
    otherwise = jnp.where(inside(parabola, 0.1), parabola, (low.rate + high.rate) / 2)
    return jnp.where(inside(cubic, 0.2), cubic, otherwise)  # margins of SciPy's line search


def _minimum_of_parabola(low: _Point, high: _Point) -> jax.Array:
    """Where the parabola through both points with the slope of the first has its minimum."""
    h = high.rate - low.rate
    return low.rate - low.slope * h**2 / (2 * (high.value - low.value - low.slope * h))


def _minimum_of_cubic(low: _Point, high: _Point, third: _Point) -> jax.Array:
    """Where c·x + b·x² + a·x³ through three points, with the slope c of the first, has its minimum; NaN if nowhere."""
    c = low.slope
    h, k = high.rate - low.rate, third.rate - low.rate
    bend_h = (high.value - low.value - c * h) / h**2  # b + a·h
    bend_k = (third.value - low.value - c * k) / k**2  # b + a·k
    a = (bend_h - bend_k) / (h - k)
    b = bend_h - a * h
    root = jnp.sqrt(b**2 - 3 * a * c)
    x = jnp.where(b > 0, -c / (b + root), (root - b) / (3 * a))  # one root, each form where it does not cancel
    return low.rate + x


def _report(search: _Search, start: _Point, precision: jax.Array) -> None:
    def failed() -> None:
        jax.debug.print(
            "scale_by_zoom_linesearch: no learning rate met both conditions in {count} tries. Value {value}, slope {slope} "
            "(uphill if positive); the last learning rate, {rate}, misses the decrease by {decrease} and the curvature by "
            "{curvature}; the best with a sufficient decrease is {best} (0: none).",
            count=search.count,
            value=start.value,
            slope=start.slope,
            rate=search.last.point.rate,
            decrease=search.last.decrease_error,
            curvature=search.last.curvature_error,
            best=search.best.point.rate,
        )

    missed = search.failed | (search.last.curvature_error > 0)
    found = search.best.point.rate > 0
    jax.lax.cond(missed, failed, lambda: None)
    for reason, holds in (
        (UPHILL, start.slope >= 0),
        (NO_RATE, ~found),
        (NO_INTERVAL, ~search.bracketed),
        (NARROW, search.bracketed & (jnp.abs(search.high.rate - search.low.rate) <= precision)),
        (STEEP, found),
    ):
        jax.lax.cond(missed & holds, functools.partial(jax.debug.print, reason), lambda: None)
